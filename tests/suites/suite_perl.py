#!/usr/bin/python3 -B
# perl: prove over tests of its core modules: regular expressions, Storable, Encode, threads, fork, pipes, sockets, ties, digests, big numbers, pod.
import os
import signal

from suite import LONG, Suite, need_program

need_program("perl", "prove")
ROUNDS = 40 if LONG else 3
TESTS = {
    "strings.t": r"""
my %count; my $text = join ' ', map { ('alpha', "beta$_", 'x' x ($_ % 50)) } 1 .. 4000 * ROUNDS / 6;
$count{lc $1}++ while $text =~ /\b(?<word>\w+)\b/g;
is $count{alpha}, 4000 * ROUNDS / 6, 'words'; is scalar(keys %count), 4000 * ROUNDS / 6 + 50, 'kinds';
my $re = qr/^(?:(\d+)(?{ $^R . '' })|([a-z]+)(?=\d))(?<rest>.*?)\s*$/xi; ok 'abc123  ' =~ $re, 'pattern'; is $+{rest}, '123', 'named';
my $nested = '(' x 300 . ')' x 300; ok $nested =~ /^(\((?1)*\))$/, 'recursive pattern';
is join(',', sort { $b <=> $a } map { $_ * 7919 % 1009 } 1 .. 1000) =~ tr/,//, 999, 'sort';
is length(sprintf '%s' x 200, ('z' x 100) x 200), 20000, 'sprintf'; my $s = ''; $s .= chr(256 + $_ % 500) for 1 .. 20000;
is length $s, 20000, 'wide'; utf8::encode($s); ok length $s > 20000, 'encoded'; (my $t = $s) =~ s/(..)/uc $1/ge; is length $t, length $s, 'substituted';
is eval { die { code => 42 } } // $@->{code}, 42, 'exceptions'; my @big = map { [ ('x') x 50 ] } 1 .. 2000; undef @big; pass 'freed';
""",
    "modules.t": r"""
use Storable qw(freeze thaw dclone store retrieve); use Data::Dumper; use Digest::SHA qw(sha256_hex); use Digest::MD5; use Encode; use MIME::Base64;
use Compress::Zlib; use IO::Compress::Bzip2 qw(bzip2); use IO::Uncompress::Bunzip2 qw(bunzip2); use List::Util qw(sum reduce shuffle uniq); use Math::BigInt; use Math::BigFloat;
use Time::Local; use POSIX qw(strftime floor setlocale LC_ALL); use File::Temp qw(tempdir); use File::Find; use File::Copy; use File::Path; use Tie::File; use Text::Wrap; use JSON::PP; use SDBM_File; use Fcntl; use Unicode::Normalize; use Hash::Util qw(lock_keys); use Scalar::Util qw(weaken);
my $data = { map { ("key$_" => [ 1 .. $_ % 20, { deep => \"x$_" } ]) } 1 .. 400 };
for (1 .. ROUNDS) { is_deeply thaw(freeze $data), $data, 'Storable'; is_deeply dclone($data), $data, 'dclone'; }
{ local $Data::Dumper::Sortkeys = 1; local $Data::Dumper::Indent = 1; my $VAR1; my $text = Dumper($data); eval $text; is_deeply $VAR1, $data, 'Dumper'; is sha256_hex($text), sha256_hex(Dumper($VAR1)), 'SHA'; note length $text; }
is_deeply decode_json(JSON::PP->new->canonical->encode([ map { { n => $_, s => "\x{263a}" x $_ } } 1 .. 60 ]) =~ s/(.)/ord $1 > 255 ? encode('UTF-8', $1) : $1/gser)->[9]{n}, 10, 'JSON';
my $raw = join '', map { chr($_ * 31 % 256) } 1 .. 200000; is uncompress(compress $raw), $raw, 'zlib'; bzip2(\$raw => \my $packed); bunzip2(\$packed => \my $back); is $back, $raw, 'bzip2';
is decode_base64(encode_base64 $raw), $raw, 'base64'; for my $name (qw(UTF-8 UTF-16LE iso-8859-15 shiftjis koi8-r)) { is decode($name, encode($name, 'plain text')), 'plain text', $name; }
is(Math::BigInt->new(2)->bpow(1000)->bmod(1009), Math::BigInt->new(2)->bmodpow(1000, 1009), 'big'); is substr(Math::BigFloat->bpi(120), 0, 12), '3.1415926535', 'pi'; is(Math::BigInt->bfac(150)->length, 263, 'factorial');
my $dir = tempdir(CLEANUP => 1); store $data, "$dir/s"; is_deeply retrieve("$dir/s"), $data, 'store'; tie my @lines, 'Tie::File', "$dir/t" or die; push @lines, map { "line $_" } 1 .. 500; splice @lines, 10, 300; is scalar @lines, 200, 'Tie::File'; untie @lines;
tie my %db, 'SDBM_File', "$dir/db", O_RDWR | O_CREAT, 0644 or die; $db{"k$_"} = "v$_" for 1 .. 300; is scalar(keys %db), 300, 'SDBM'; untie %db; my $n = 0; find(sub { $n++ }, $dir); ok $n >= 4, 'find';
is NFC(NFD("\x{e9}")), "\x{e9}", 'Unicode'; { my $loop = {}; $loop->{self} = $loop; weaken $loop->{self}; ok $loop->{self}, 'weak'; } is strftime('%Y-%m-%d', gmtime timegm(1, 2, 3, 4, 5, 106)), '2006-06-04', 'time'; setlocale LC_ALL, ''; is List::Util::sum(uniq map { $_ % 13 } 1 .. 1000), 78, 'sum';
""",
    "processes.t": r"""
use IPC::Open3; use List::Util qw(sum); use IO::Select; use IO::Socket::INET; use IO::Socket::UNIX; use POSIX qw(:sys_wait_h _exit); use Errno;
sub whole { my ($fh, $want) = @_; my $all = ''; while (length $all < $want) { my $n = sysread $fh, $all, 65536, length $all; next if !defined $n && $!{EINTR}; last unless $n; } $all }
for my $round (1 .. ROUNDS) {
    my @kids; for my $k (1 .. 4) { pipe my $r, my $w or die; my $pid = fork; if (!$pid) { close $r; my %h = map { $_ => 'v' x $_ } 1 .. 300; print $w sum(map { length } values %h); close $w; $k % 2 ? _exit($k) : exit $k } close $w; push @kids, [ $pid, $r, $k ]; }
    for (@kids) { is whole($_->[1], 5), 45150, 'child'; is waitpid($_->[0], 0), $_->[0], 'waited'; is $? >> 8, $_->[2], 'status'; }
}
is `echo one; exit 3`, "one\n", 'backticks'; is $? >> 8, 3, 'its status'; is system('true'), 0, 'system'; is system($^X, '-e', 'kill 15, $$; sleep 5') & 127, 15, 'killed';
my $pid = open3(my $in, my $out, my $err = Symbol::gensym(), 'sort', '-n'); print $in "$_\n" for reverse 1 .. 200; close $in; is join('', <$out>), join('', map { "$_\n" } 1 .. 200), 'open3'; waitpid $pid, 0; is $?, 0, 'sort';
open my $pipe, '-|', $^X, '-e', 'print "x" x 300000' or die; is length(do { local $/; <$pipe> }), 300000, 'pipe'; close $pipe; open my $dup, '>&', \*STDOUT or die; ok fileno $dup < 12, 'descriptor'; close $dup;
my $server = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die; if (!fork) { for (1 .. 20) { my $c = $server->accept or redo; while (<$c>) { print $c uc } close $c } exit 0 } for (1 .. 20) { my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server->sockport) or die; print $c "hello $_\n"; $c->shutdown(1); is scalar(<$c>), "HELLO $_\n", 'socket'; } is wait > 0 ? $? : -1, 0, 'server';
my ($got, $hup) = (0, 0); { local $SIG{USR1} = sub { $got++; my @garbage = map { "g$_" } 1 .. 1000 }; local $SIG{HUP} = sub { $hup++ }; kill USR1 => $$ for 1 .. 50; kill HUP => $$; select undef, undef, undef, 0.01; } is $got, 50, 'own signals'; is $hup, 1, 'another';
eval { local $SIG{ALRM} = sub { die "alarm\n" }; alarm 1; 1 while 1; }; is $@, "alarm\n", 'alarm'; local $SIG{CHLD} = 'IGNORE'; my $ghost = fork // die; exit 7 unless $ghost; is waitpid($ghost, 0), -1, 'ignored child'; is_deeply [ map { s/.*\///r } grep { -e } glob '/proc/self/fd/[3-9]' ], [ grep { -e "/proc/self/fd/$_" } 3 .. 9 ], 'descriptors';
""",
    "threads.t": r"""
use threads; use threads::shared; use Thread::Queue; use Thread::Semaphore;
for (1 .. ROUNDS) { my $sum : shared = 0; my @t = map { my $n = $_; threads->create(sub { my @own = map { $_ * $n } 1 .. 500; { lock $sum; $sum += $_ for @own } scalar @own }) } 1 .. 4; is $_->join, 500, 'joined' for @t; is $sum, 125250 * 10, 'sum'; }
my $queue = Thread::Queue->new; my $worker = threads->create(sub { my $n = 0; while (defined(my $item = $queue->dequeue)) { $n += length $item } $n }); $queue->enqueue('x' x $_) for 1 .. 300; $queue->end; is $worker->join, 45150, 'queue';
my $clone = { map { $_ => [ 1 .. 20 ] } 1 .. 300 }; my $n = threads->create(sub { scalar keys %$clone })->join; is $n, 300, 'cloned'; threads->create(sub { 1 })->detach; my ($ok) = threads->create({ context => 'list' }, sub { eval { die "inside\n" }; $@ })->join; is $ok, "inside\n", 'exception'; my $r = threads->create(sub { `echo from thread` })->join; is $r, "from thread\n", 'process from a thread';
""",
}
HEAD = "use strict; use warnings; no warnings 'experimental'; use Test::More; use Symbol; use constant ROUNDS => %d;\n"
PROGRAM = r"""
use strict; use warnings; my @fields = map { { id => $_, tags => [ map { "t$_" } 1 .. $_ % 9 ], text => 'lorem ' x ($_ % 30) } } 1 .. 3000;
my %index; push @{ $index{$_} }, 1 for map { @{ $_->{tags} } } @fields; print join(' ', map { "$_=" . @{ $index{$_} } } sort keys %index), "\n";
format STDOUT =
@<<<<<<< @>>>>>> @##.##
$main::a[0], $main::a[1], $main::a[2]
.
our @a; for (1 .. 5) { @a = ("row$_", $_ * 1000, $_ / 3); write } local $, = '-'; print 1 .. 5; print "\n"; warn "a warning\n"; eval "1 +* 2"; print STDERR $@ =~ /syntax/ ? "syntax\n" : "none\n"; exit 9;
"""


def without_times(text):
    """prove prints how long it took, and tests as they end."""
    return "".join(l for l in sorted(text.splitlines(True)) if not l.startswith(("Files=", "ok ")) or l.startswith("ok -"))


def work(side):
    os.mkdir(side.work + "/t")
    for name, text in TESTS.items():
        with open(side.work + "/t/" + name, "w") as file:
            file.write(HEAD % ROUNDS + text + "done_testing;\n")
    with open(side.work + "/program.pl", "w") as file:
        file.write(PROGRAM)
    hash_seed = {"PERL_HASH_SEED": "0", "PERL_PERTURB_KEYS": "0", "LC_ALL": "C", "TZ": "UTC"}
    side.run(["prove", "-j2", "--norc", "t"], env=hash_seed, normalise=without_times)
    for name in sorted(TESTS):
        side.run(["perl", "t/" + name], env=hash_seed)
    side.run(["perl", "program.pl"], env=hash_seed)
    side.run(["perl", "-c", "-MO=Deparse", "program.pl"], env=hash_seed)
    side.shell("perl -V:usethreads -V:usemymalloc; perl -ne 'print if eof || $. % 7 == 0' program.pl; perl -pi.bak -e 's/lorem/ipsum/' program.pl; "
               "perl -e 'fork for 1 .. 3; my @x = (1) x 10000; 1 while wait != -1; exit 0'; echo $?; perl -we 'my $x; print 1 + $x' ; perl -e 'die bless [], q(main)' 2>/dev/null; echo $?")
    side.shell("for m in Storable Encode POSIX threads Test::More IO::Select; do f=$(perl -M$m -e '$_ = shift; s{::}{/}g; print $INC{\"$_.pm\"}' $m) && { pod2man --date=today --release=now $f || pod2text $f; podchecker $f; pod2usage -verbose 1 $f; } "
               "2>&1 | sha256sum; done; pod2html --infile=$f --outfile=e.html 2>&1; rm -f pod2htmd.tmp; wc -l e.html", env=hash_seed)


# prove waits in select and takes an interrupted one for the end of its test.
with Suite("perl", signal.SIGURG, spare=lambda name, arguments: any(a.endswith("prove") for a in arguments)) as suite:
    suite.both(work)

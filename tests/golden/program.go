// Writes one profile of each kind that Go knows, for the golden tests: a leak, a cache, churn, recursion, inlined calls, labels.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sort"
	"strings"
	"sync"
	"time"
)

var keep [][]byte
var m = map[string][]byte{}

//go:noinline
func leak(n int) {
	for i := 0; i < n; i++ {
		keep = append(keep, make([]byte, 1024+i%7*100))
	}
}

func inl(n int) []byte { return make([]byte, n) }

//go:noinline
func cache(n int) {
	for i := 0; i < n; i++ {
		m[fmt.Sprint(i)] = inl(64)
	}
}

//go:noinline
func churn(n int) {
	for i := 0; i < n; i++ {
		b := bytes.Repeat([]byte("x"), 100)
		_ = strings.ToUpper(string(b))
	}
}

func rec(d, n int) {
	if d == 0 {
		leak(n)
		return
	}
	rec(d-1, n)
	if d%3 == 0 {
		cache(d * 10)
	}
}

func busy() int {
	x := []int{}
	for i := 0; i < 30000; i++ {
		x = append(x, i*7919%1000)
	}
	sort.Ints(x)
	return x[0]
}

func w(name string, p string) {
	f, _ := os.Create(name)
	pprof.Lookup(p).WriteTo(f, 0)
	f.Close()
}

func main() {
	runtime.MemProfileRate = 4096
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	f, _ := os.Create("cpu.pb.gz")
	pprof.StartCPUProfile(f)
	leak(2000)
	cache(3000)
	churn(3000)
	runtime.GC()
	w("heap1.pb.gz", "heap")
	w("allocs1.pb.gz", "allocs")
	time.Sleep(50 * time.Millisecond)
	rec(8, 5000)
	churn(4000)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		i := i
		wg.Add(1)
		go pprof.Do(context.Background(), pprof.Labels("worker", fmt.Sprint(i), "kind", "sort"), func(context.Context) {
			defer wg.Done()
			for j := 0; j < 60; j++ {
				mu.Lock()
				busy()
				mu.Unlock()
			}
		})
	}
	ch := make(chan int)
	go func() { time.Sleep(20 * time.Millisecond); ch <- 1 }()
	<-ch
	w("goroutine.pb.gz", "goroutine")
	wg.Wait()
	pprof.StopCPUProfile()
	f.Close()
	runtime.GC()
	w("heap2.pb.gz", "heap")
	w("mutex.pb.gz", "mutex")
	w("block.pb.gz", "block")
	w("threadcreate.pb.gz", "threadcreate")
}

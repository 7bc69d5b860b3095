// A Go program with something in each of its profiles, served at the address that it prints.
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"runtime"
	"sync"
	"time"
)

var kept [][]byte

//go:noinline
func keep() {
	kept = append(kept, make([]byte, 1<<20))
}

//go:noinline
func drawAgain() {
	kept = append(kept, make([]byte, 64<<20))
	kept = nil
}

func contend(mutex *sync.Mutex) {
	for {
		mutex.Lock()
		time.Sleep(time.Millisecond)
		mutex.Unlock()
	}
}

func spin() {
	for x := 0; ; x++ {
		if x%1000000 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func main() {
	// The distance to the next sample was drawn at the default rate, for each P: with one P, a large block that nobody
	// keeps uses it up, and from then on every block of keep() is sampled.
	runtime.GOMAXPROCS(1)
	runtime.MemProfileRate = 4096
	drawAgain()
	kept = make([][]byte, 0, 8) // it does not grow in keep(), where now and then a growth would be a sample of its own
	runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
	for i := 0; i < 8; i++ {
		keep()
	}
	runtime.GC()
	var mutex sync.Mutex
	go contend(&mutex)
	go contend(&mutex)
	go spin()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	http.Serve(listener, nil)
}

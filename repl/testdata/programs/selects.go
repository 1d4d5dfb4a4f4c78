package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

func producer(n int) <-chan int {
	ch := make(chan int)
	go func() {
		defer close(ch)
		for i := range n {
			ch <- i
		}
	}()
	return ch
}

func drain(a, b <-chan int) (sum int) {
	for a != nil || b != nil {
		select {
		case v, ok := <-a:
			if !ok {
				a = nil
				continue
			}
			sum += v
		case v, ok := <-b:
			if !ok {
				b = nil
				break
			}
			sum += 100 * v
		}
	}
	return
}

type msg struct {
	id   int
	text string
}

func main() {
	fmt.Println(drain(producer(4), producer(3)))
	ch := make(chan int, 1)
	select {
	case ch <- 5:
		fmt.Println("sent")
	default:
		fmt.Println("full")
	}
	select {
	case ch <- 6:
		fmt.Println("sent")
	default:
		fmt.Println("full")
	}
	select {
	case v := <-ch:
		fmt.Println("got", v)
	default:
	}
	select {
	case <-ch:
	default:
		fmt.Println("empty")
	}
	select {
	case <-time.After(time.Millisecond):
		fmt.Println("timeout")
	}
	var arr [2]int
	ch <- 9
	select {
	case arr[1] = <-ch:
	}
	fmt.Println(arr)
	close(ch)
	var ok bool
	var v int
	select {
	case v, ok = <-ch:
		fmt.Println(v, ok)
	}
	msgs := make(chan msg, 2)
	done := make(chan struct{})
	go func() {
		for m := range msgs {
			fmt.Println(m.id, m.text)
		}
		close(done)
	}()
	msgs <- msg{1, "a"}
	msgs <- msg{2, "b"}
	close(msgs)
	<-done
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	select {
	case <-ctx.Done():
		fmt.Println(ctx.Err())
	case <-time.After(5 * time.Second):
		fmt.Println("late")
	}
	tick := time.NewTicker(time.Millisecond)
	n := 0
loop:
	for {
		select {
		case <-tick.C:
			n++
			if n == 3 {
				tick.Stop()
				break loop
			}
		}
	}
	fmt.Println(n)
	var mu sync.Mutex
	var wg sync.WaitGroup
	total := 0
	for i := 0; i < 10; i++ {
		wg.Add(1)
		go func(k int) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			total += k * i
		}(i)
	}
	wg.Wait()
	fmt.Println(total)
	results := make(chan int)
	go func() { results <- compute(3) }()
	select {
	case r := <-results:
		fmt.Println(r)
	}
	chans := []chan int{make(chan int, 1), make(chan int, 1)}
	chans[1] <- 7
	select {
	case x := <-chans[0]:
		fmt.Println("0", x)
	case x := <-chans[1]:
		fmt.Println("1", x)
	}
	fn := make(chan func() string, 1)
	fn <- func() string { return "called" }
	fmt.Println((<-fn)())
	fmt.Println(<-producer(1) + 1)
	var nilch chan int
	select {
	case <-nilch:
	case nilch <- 1:
	default:
		fmt.Println("nil blocks")
	}
	var once sync.Once
	for range 3 {
		once.Do(func() { fmt.Println("once") })
	}
	c2, cancel2 := context.WithCancel(context.WithValue(context.Background(), "k", "v"))
	cancel2()
	<-c2.Done()
	fmt.Println(c2.Value("k"), c2.Err())
}

func compute(n int) int { return n * n }

// Package iter has the types of iterators, and turns an iterator that pushes
// into one that is pulled, in source that cells can instantiate.
package iter

// Seq calls yield with each value until yield returns false.
type Seq[V any] func(yield func(V) bool)

// Seq2 calls yield with each pair of values until yield returns false.
type Seq2[K, V any] func(yield func(K, V) bool)

// Pull runs seq on a goroutine that moves only while next or stop waits for
// it. A panic of seq comes out of the call that met it.
func Pull[V any](seq Seq[V]) (next func() (V, bool), stop func()) {
	next2, stop2 := Pull2(func(yield func(V, struct{}) bool) {
		seq(func(v V) bool { return yield(v, struct{}{}) })
	})
	next = func() (V, bool) {
		v, _, ok := next2()
		return v, ok
	}
	return next, stop2
}

// Pull2 is Pull for pairs of values.
func Pull2[K, V any](seq Seq2[K, V]) (next func() (K, V, bool), stop func()) {
	var key K
	var value V
	var failure any
	started, finished := false, false
	resume := make(chan bool)  // true asks for one more pair, false for the end
	yielded := make(chan bool) // true when a pair is there, false at the end

	run := func() {
		defer func() {
			failure = recover()
			yielded <- false
		}()
		if !<-resume {
			return
		}
		seq(func(k K, v V) bool {
			key, value = k, v
			yielded <- true
			more := <-resume // yaegi v0.16.1 cannot return what it receives
			return more
		})
	}
	end := func() {
		finished = true
		if failure != nil {
			panic(failure)
		}
	}
	next = func() (K, V, bool) {
		var noKey K
		var noValue V
		if finished {
			return noKey, noValue, false
		}
		if !started {
			started = true
			go run()
		}
		resume <- true
		if <-yielded {
			return key, value, true
		}
		end()
		return noKey, noValue, false
	}
	stop = func() {
		if finished {
			return
		}
		if !started {
			finished = true
			return
		}
		resume <- false
		for <-yielded {
			resume <- false
		}
		end()
	}
	return next, stop
}

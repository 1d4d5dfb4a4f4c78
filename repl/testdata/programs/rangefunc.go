package main

import (
	"fmt"
	"iter"
	"maps"
	"slices"
)

func count(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				fmt.Println("stopped at", i)
				return
			}
		}
	}
}

func pairs[K comparable, V any](ks []K, vs []V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for i, k := range ks {
			if !yield(k, vs[i]) {
				return
			}
		}
	}
}

func find(n, want int) (index int, ok bool) {
	for i := range count(n) {
		if i == want {
			return i * 10, true
		}
	}
	return -1, false
}

func named(n int) (r int) {
	for i := range count(n) {
		r += i
		if r > 5 {
			return
		}
	}
	return r
}

func nested() string {
outer:
	for i := range count(5) {
		for j := range count(5) {
			switch {
			case j == 1:
				continue
			case j == 3:
				continue outer
			case i == 2:
				break outer
			}
			fmt.Print(i, j, " ")
		}
	}
	fmt.Println()
	for i := range count(3) {
		for j := 0; ; j++ {
			if j == 2 {
				break
			}
			if i == 1 {
				return fmt.Sprint("returned ", i, j)
			}
		}
	}
	return "end"
}

func main() {
	for i := range count(3) {
		fmt.Println(i)
	}
	fmt.Println(find(10, 4))
	fmt.Println(find(3, 4))
	fmt.Println(named(10), named(2))
	fmt.Println(nested())
	for k, v := range pairs([]string{"a", "b"}, []float64{1.5, 2}) {
		fmt.Println(k, v)
	}
	m := map[string]int{"x": 1, "y": 2, "z": 3}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Println(k, m[k])
	}
	fmt.Println(slices.Collect(count(4)))
	var fs []func() int
	for i := range count(3) {
		fs = append(fs, func() int { return i })
	}
	for _, f := range fs {
		fmt.Print(f(), " ")
	}
	fmt.Println()
	next, stop := iter.Pull(count(3))
	fmt.Println(next())
	fmt.Println(next())
	stop()
	total := 0
	for range count(4) {
		total++
	}
	fmt.Println(total)
}

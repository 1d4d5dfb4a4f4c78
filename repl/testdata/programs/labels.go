package main

import "fmt"

func find(grid [][]int, want int) (r, c int) {
outer:
	for i, row := range grid {
		for j, v := range row {
			if v < 0 {
				continue outer
			}
			if v == want {
				r, c = i, j
				break outer
			}
		}
	}
	return
}

func second(n int) (out []int) {
outer:
	for i := 0; i < n; i++ {
		switch {
		case i%2 == 0:
			continue
		case i > 7:
			break outer
		}
		for j := range i {
			if j == 2 {
				continue outer
			}
		}
		out = append(out, i)
	}
	return
}

func gotos(n int) int {
	i := 0
again:
	i++
	if i < n {
		goto again
	}
	if i == 5 {
		goto done
	}
	i *= 10
done:
	return i
}

func block() string {
	s := ""
here:
	for {
		s += "a"
		if len(s) > 2 {
			break here
		}
		s += "b"
	}
	return s
}

func rangeLabels() string {
	s := ""
outer:
	for i := range 4 {
		for j := range 4 {
			for k := 0; ; k++ {
				if k > j {
					break
				}
				if i == 2 {
					continue outer
				}
				if i == 3 {
					break outer
				}
				if k == 2 {
					continue outer
				}
				s += fmt.Sprint(i, j, k, ";")
			}
		}
	}
	return s
}

func switchLabel(n int) string {
sw:
	switch n {
	case 1:
		for i := 0; i < 5; i++ {
			if i == 2 {
				break sw
			}
		}
		return "unreached"
	case 2:
		fallthrough
	case 3:
		return "two or three"
	case 4, 5:
		if n == 5 {
			break
		}
		return "four"
	default:
		return "default"
	}
	return "after"
}

func captured() []func() int {
	var fs []func() int
outer:
	for i := 0; i < 5; i++ {
		for j := 0; j < 3; j++ {
			if j == 1 && i == 1 {
				continue outer
			}
			if i == 3 {
				break outer
			}
			if j == 2 {
				continue
			}
			fs = append(fs, func() int { return i*10 + j })
		}
	}
	return fs
}

func chanLabels() int {
	ch := make(chan int, 10)
	for i := range 10 {
		ch <- i
	}
	close(ch)
	sum := 0
outer:
	for v := range ch {
		for k := range v {
			if k == 3 {
				continue outer
			}
			if v == 7 {
				break outer
			}
		}
		sum += v
	}
	return sum
}

func defaultMiddle(n int) int {
	switch n {
	default:
		return -1
	case 1:
		return 1
	case 2:
		return 2
	}
}

func fall(n int) (s string) {
	switch {
	case n > 5:
		s += "a"
		fallthrough
	case n > 100:
		s += "b"
		fallthrough
	default:
		s += "c"
	case n < 0:
		s += "d"
	}
	return
}

func main() {
	fmt.Println(find([][]int{{1, -1, 5}, {2, 5}}, 5))
	fmt.Println(second(12))
	fmt.Println(gotos(3), gotos(5))
	fmt.Println(block(), rangeLabels())
	for i := range 7 {
		fmt.Println(i, switchLabel(i))
	}
	for _, f := range captured() {
		fmt.Print(f(), " ")
	}
	fmt.Println(chanLabels())
	fmt.Println(defaultMiddle(0), defaultMiddle(1), defaultMiddle(2))
	fmt.Println(fall(6), fall(1), fall(-1))
}

package plot_test

import (
	"fmt"

	"dpolab/stdlib/plot"
)

func ExampleNew() {
	f := plot.New("warm-up").Line("lr", []float64{0, 50, 100, 150, 200}, []float64{0, 2e-7, 4e-7, 5e-7, 5e-7})
	fmt.Println(f.XLabel("step").Text(40, 3))
	// Output:
	// warm-up  lr 0 → 5e-07
	//      5e-07 ┤⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⣀⡠⠤⠔⠒⠒⠊⠉⠉⠉⠉⠉⠉⠉⠉
	//            ┤⠀⠀⠀⠀⠀⢀⣀⠤⠔⠒⠉⠁⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀
	//          0 ┤⣀⠤⠔⠒⠉⠁⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀
	//             0                  200 step
}

func ExampleFigure_Bars() {
	f := plot.New("pairs per second").Bars("", []float64{12, 19.5}).Categories([]string{"float32", "bfloat16"})
	fmt.Println(f.Text(40, 0))
	// Output:
	// pairs per second
	//  float32 │████████████▎ 12
	// bfloat16 │████████████████████ 19.5
}

func ExampleGrid() {
	xs := []float64{1, 2, 3}
	left := plot.New("loss").Line("run", xs, []float64{0.69, 0.5, 0.3})
	right := plot.New("margin").Line("run", xs, []float64{0, 0.4, 1.1})
	fmt.Println(plot.Grid(2, left, right).Series())
	// Output: [run]
}

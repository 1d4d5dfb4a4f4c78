package live

// most is how many points a curve is drawn with.
const most = 400

// series is a curve of any length in bounded memory: when it has too many
// points, neighbours become their mean.
type series struct {
	xs, ys []float64
	every  int // how many values a point is the mean of
	n      int // values in the point that is being made
	x, y   float64
}

func (s *series) add(x, y float64) {
	s.every = max(s.every, 1)
	s.n++
	s.x += (x - s.x) / float64(s.n)
	s.y += (y - s.y) / float64(s.n)
	if s.n < s.every {
		return
	}
	s.xs, s.ys = append(s.xs, s.x), append(s.ys, s.y)
	s.n, s.x, s.y = 0, 0, 0
	if len(s.xs) < most {
		return
	}
	for i := range len(s.xs) / 2 {
		s.xs[i], s.ys[i] = (s.xs[2*i]+s.xs[2*i+1])/2, (s.ys[2*i]+s.ys[2*i+1])/2
	}
	s.xs, s.ys = s.xs[:len(s.xs)/2], s.ys[:len(s.ys)/2]
	s.every *= 2
}

// panel is one metric: a line for training, points for evaluations.
type panel struct {
	title, train, eval string
	line, dots         series
}

// mainPanels are what a run is judged by, under the reference DPO code's names.
func mainPanels() []*panel {
	return []*panel{
		{title: "loss", train: "loss/train", eval: "loss/eval"},
		{title: "reward accuracy", train: "rewards_train/accuracies", eval: "rewards_eval/accuracies"},
		{title: "reward margin", train: "rewards_train/margins", eval: "rewards_eval/margins"},
	}
}

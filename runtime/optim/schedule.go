package optim

// Warmup is the reference's learning-rate factor for a step that counts from
// 0: a linear rise over warmupSteps steps, then constant.
func Warmup(step, warmupSteps int) float64 {
	return min(1, float64(step+1)/float64(warmupSteps+1))
}

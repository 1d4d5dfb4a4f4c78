// Package dpo is what cells and scripts import: preference optimization in
// short calls that raise instead of returning errors.
//
//	demo := dpo.Demo()                                       // a tiny model and its pairs, embedded
//	policy := dpo.FSDP(demo.Model(), dpo.DefaultFSDPConfig()) // sharded over all ranks, in this process
//	cfg := dpo.DefaultTrainConfig()
//	cfg.Loss, cfg.Optimizer, cfg.LR, cfg.WarmupSteps = dpo.DPO(0.1), "AdamW", 1e-4, 0
//	tr := dpo.NewTrainer(policy, nil, demo.Train, demo.Test, cfg)
//	tr.Steps(10)
//	tr.SetMixedPrecision(dpo.BFloat16Mixed())                // from the next step on
//	tr.Run()
//	dpo.Curves(tr.History()).Save("curves.svg")
//	dpo.Generate(policy, []string{"\n\nHuman: What color is the kite?\n\nAssistant:"}, dpo.Greedy(20))
//	dpo.Save(policy, "out")
//
// With models of one's own, [LoadModel] takes a Hugging Face directory and
// [LoadPreferences] a source (hh, shp, se, pairs), a path and a split.
//
// # Losses, metrics, schedules and callbacks
//
// All of them are plain functions, so they can be typed into a cell. A loss is
// a pure function of log-probabilities. With h the [Margin],
//
//	DPO    L = -log σ(β·h)                            arXiv 2305.18290, eq. 7
//	CDPO   L = -(1-ε)·log σ(β·h) - ε·log σ(-β·h)      Mitchell 2023, eq. 3
//	IPO    L = (h - 1/(2β))²                          arXiv 2310.12036, eq. 17
//	SFT    L = -log π(y_w|x)
//
// and the hinge of SLiC is
//
//	hinge := func(lp dpo.LogProbs) dpo.LossOutput {
//		x := dpo.Margin(lp).MulScalar(0.1)
//		return dpo.LossOutput{Losses: x.Neg().AddScalar(1).ReLU()}
//	}
//	dpo.CheckLoss(hinge) // against finite differences
//
// Left out, rewards are the log-ratios. The log-probabilities of all ranks meet
// before the loss is called, and its gradient goes back to the ranks: a loss
// runs once per microbatch, for all pairs of it, on the goroutine that called
// Run or Step. Metrics, schedules and callbacks run there too, one at a time,
// so that no function of a cell is ever called by two goroutines at once.
//
// On a GPU a loss may use kernels of its own: [CompileCUDA] makes operations,
// differentiable ones too, of CUDA C in a string.
//
// # Training by hand
//
// [Trainer.NextBatch], [Trainer.Forward], [Trainer.Backward] and
// [Trainer.OptimizerStep] are the parts of a step, on all ranks:
//
//	for b := tr.NextBatch(); b != nil; b = tr.NextBatch() {
//		lp := tr.Forward(b)
//		tr.Backward(hinge(lp).Losses.Mean())
//		fmt.Println(tr.OptimizerStep()["loss/train"])
//	}
//
// # The reference model
//
// A model keeps the log-probabilities it was asked for as a reference. Any
// number of trainers, epochs, betas and losses that are given the same
// reference ask it once per response; see [Model.Asked]. [Model.Copy] freezes a
// policy as it is now.
//
// # Sessions
//
// A [Session] keeps model, optimizer state, reference log-probabilities and data
// position in files, where the next process goes on:
//
//	s := dpo.Session("exp")
//	policy := s.FSDP(demo.Model(), dpo.DefaultFSDPConfig())
//	tr := dpo.NewTrainer(policy, nil, demo.Train, demo.Test, cfg)
//	tr.Steps(10) // in every process the next ten
//
// [Sessions] lists them, [RemoveSession] deletes one.
//
// # Shapes
//
// B is the number of pairs. A loss sees and returns float32 [B];
// log-probabilities are natural logarithms, summed over a response's tokens.
//
// # Errors
//
// What fails panics with *[Error], in one line: the call, what was expected,
// what was found. Operations on tensors panic with *tensor.Error. A REPL shows
// the line; in a program, begin main with defer [Finish](); [Try] turns it into
// an error value. [Interrupted] and [OutOfMemory] are told apart with errors.Is.
// After an error a trainer is as it was before the step.
//
// # Interrupts and memory
//
// Every long call stops between two blocks of a model when [Context] ends,
// undoes the step it is in, and raises [Interrupted]. Calling it again goes on,
// to the same numbers as without the interruption. What a host calls is
// [SetContext], [SetOutput] and [SetArgs].
//
// Memory of devices does not wait for the garbage collector: Close frees a model
// or a trainer, [Reset] all of them, and [Memory] shows what is in use.
//
// One call at a time: models and trainers are not to be used by several
// goroutines at once.
package dpo

// Package tensor provides arrays on a device, the operations models are made
// of, and their gradients.
//
//	dev, err := tensor.Open(d, 0)
//	w := tensor.FromFloat32(dev, weights, 2, 3).SetRequiresGrad(true)
//	loss := tensor.Linear(x, w, nil).Square().Mean()
//	loss.Backward(nil)
//	fmt.Println(w.Grad())
//
// # Handles
//
// A [Tensor] is a handle to a dense row-major array. [Tensor.Reshape],
// [Tensor.Detach] and [Tensor.Narrow] along axis 0 give further handles on the
// same memory; everything else copies. Memory is outside Go's heap and is given
// back as soon as the last handle and the last graph node that needs it are
// gone, not when a collector comes by: [Tensor.Release] gives up one handle.
//
// # Scopes
//
// Releasing every intermediate by hand would be tedious, so [Device.Scope] does
// it: when its function returns, or panics, all handles made inside are
// released but the one returned.
//
//	h = dev.Scope(func() *tensor.Tensor {
//		return block.Forward(h)
//	})
//
// Models open a scope around each block, trainers around each step. A handle
// made outside any scope lives until it is released; [Tensor.Keep] takes one
// out of its scopes to live as long. Operations leave no handles behind but
// their result.
//
// # Gradients
//
// An operation with an input that requires a gradient is recorded: its result
// remembers the inputs, and saves what its gradient needs. [Tensor.Backward]
// runs the record in reverse, freeing what was saved as it goes, and adds to
// the [Tensor.Grad] of each leaf, a tensor marked by [Tensor.SetRequiresGrad].
// A graph can be run once. [Tensor.SetGradDType] gives a leaf's gradient a type
// of its own: bfloat16 weights collect float32 gradients over microbatches
// without rounding in between.
//
// [Device.NoGrad] turns recording off, [Checkpoint] trades saved memory for
// computing twice, [Hook] calls a function when backward gets to a place,
// [Device.AtBackwardEnd] when it is through. [Tensor.Discard] frees memory that
// autograd has saved until [Tensor.Restore] and new contents bring it back.
//
// # Writing in place
//
// [Tensor.CopyFrom], [Tensor.Fill], [Tensor.Zero] and [Tensor.AddScaledInPlace]
// overwrite a tensor. They refuse, while recording, a tensor that requires a
// gradient and a source that does. Views see the write; a graph that saved the
// tensor before notices and fails in backward rather than use changed values.
//
// # Types
//
// Results keep the type of the (first) operand. Elementwise operations on two
// types give the wider one, float32 for bfloat16 with float16. Sums,
// norms, softmax and products are computed in float32 or wider and rounded
// once. Log-probabilities and sums over segments are float32.
//
// # Fused operations
//
// [LayerNorm], [RMSNorm], [Rotary], [Attention], [LogProbs] and [SwiGLU] use a
// backend's fused kernels where it has them, and otherwise the composition that
// the kernels package documents, with the same result up to rounding.
//
// # Errors
//
// A wrong shape, type or device panics with *[Error], which names the
// operation, what it wanted and what it got; so does exhausted memory, wrapping
// [ErrOutOfMemory]. [Try] turns the panic into an error. The device stays usable,
// and a scope around the failed work gives its memory back.
//
// # Shapes
//
// T tokens (rows of a packed batch), D hidden size, V vocabulary, H heads, R
// labelled rows, N segments. [.., D] means any number of leading axes. A scalar
// has no axes.
package tensor

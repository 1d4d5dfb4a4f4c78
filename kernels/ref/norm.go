package ref

import (
	"math"

	"dpolab/kernels"
)

func (b *Backend) LayerNorm(y, mean, rstd, x, weight, bias kernels.Array, rows, cols int, eps float64) {
	w := load(weight)
	for r := range rows {
		v := load(x.Slice(r*cols, (r+1)*cols))
		mu, variance := 0.0, 0.0
		for _, e := range v {
			mu += e / float64(cols)
		}
		for _, e := range v {
			variance += (e - mu) * (e - mu) / float64(cols)
		}
		s := 1 / math.Sqrt(variance+eps)
		for c := range v {
			v[c] = (v[c] - mu) * s * w[c]
			if !bias.IsNil() {
				v[c] += at(bias, c)
			}
		}
		store(y.Slice(r*cols, (r+1)*cols), v)
		set(mean, r, mu)
		set(rstd, r, s)
	}
}

func (b *Backend) AddLayerNorm(sum, y, mean, rstd, x, r, weight, bias kernels.Array, rows, cols int, eps float64) {
	add(sum, x, r)
	b.LayerNorm(y, mean, rstd, sum, weight, bias, rows, cols, eps)
}

func (b *Backend) AddRMSNorm(sum, y, rstd, x, r, weight kernels.Array, rows, cols int, eps float64) {
	add(sum, x, r)
	b.RMSNorm(y, rstd, sum, weight, rows, cols, eps)
}

// add stores x + r.
func add(sum, x, r kernels.Array) {
	for i := range sum.Len {
		set(sum, i, at(x, i)+at(r, i))
	}
}

// storeGradient stores a row's gradient, to which a residual's may be added.
func storeGradient(dx, residual kernels.Array, at int, values []float64) {
	row := dx.Slice(at, at+len(values))
	if residual.IsNil() {
		store(row, values)
		return
	}
	others := load(residual.Slice(at, at+len(values)))
	store(row, values)
	for i, v := range load(row) { // rounded to dx's type
		set(row, i, others[i]+v)
	}
}

func (b *Backend) LayerNormGrad(dx, dweight, dbias, residual, dy, x, weight, mean, rstd kernels.Array, rows, cols int) {
	w, dw, db := load(weight), make([]float64, cols), make([]float64, cols)
	for r := range rows {
		mu, s := at(mean, r), at(rstd, r)
		g, v := load(dy.Slice(r*cols, (r+1)*cols)), load(x.Slice(r*cols, (r+1)*cols))
		var sum, dotted float64
		for c := range g {
			v[c] = (v[c] - mu) * s // the normalised input
			dw[c] += g[c] * v[c]
			db[c] += g[c]
			g[c] *= w[c]
			sum += g[c]
			dotted += g[c] * v[c]
		}
		n := float64(cols)
		for c := range g {
			g[c] = s * (g[c] - sum/n - v[c]*dotted/n)
		}
		storeGradient(dx, residual, r*cols, g)
	}
	accumulate(dweight, dw)
	accumulate(dbias, db)
}

// accumulate adds values to an array that may be absent.
func accumulate(dst kernels.Array, values []float64) {
	if dst.IsNil() {
		return
	}
	for i, v := range values {
		set(dst, i, at(dst, i)+v)
	}
}

func (b *Backend) RMSNorm(y, rstd, x, weight kernels.Array, rows, cols int, eps float64) {
	w := load(weight)
	for r := range rows {
		v := load(x.Slice(r*cols, (r+1)*cols))
		mean := 0.0
		for _, e := range v {
			mean += e * e / float64(cols)
		}
		s := 1 / math.Sqrt(mean+eps)
		for c := range v {
			v[c] *= s * w[c]
		}
		store(y.Slice(r*cols, (r+1)*cols), v)
		set(rstd, r, s)
	}
}

func (b *Backend) RMSNormGrad(dx, dweight, residual, dy, x, weight, rstd kernels.Array, rows, cols int) {
	w, dw := load(weight), make([]float64, cols)
	for r := range rows {
		s := at(rstd, r)
		g, v := load(dy.Slice(r*cols, (r+1)*cols)), load(x.Slice(r*cols, (r+1)*cols))
		dotted := 0.0
		for c := range g {
			v[c] *= s
			dw[c] += g[c] * v[c]
			g[c] *= w[c]
			dotted += g[c] * v[c]
		}
		for c := range g {
			g[c] = s * (g[c] - v[c]*dotted/float64(cols))
		}
		storeGradient(dx, residual, r*cols, g)
	}
	accumulate(dweight, dw)
}

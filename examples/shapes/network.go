package shapes

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas/blas32"
)

// network is a multilayer perceptron with ReLU between layers and a softmax at
// the end, in float32, for batches of a fixed size. All matrices are row-major.
type network struct {
	layers []layer
	// active[k] is layer k's input, a row per sample: the pictures first, then
	// what ReLU left, and at last the class probabilities.
	active []blas32.General
	// delta[k] is the gradient of the loss by the sums of layer k.
	delta []blas32.General
	step  int
}

// layer is weights (out x in) and biases, one after the other, as one slice of
// parameters with the gradient and Adam's moments parallel to it.
type layer struct {
	in, out  int
	value    []float32
	slope    []float32
	mean     []float32
	variance []float32
}

func (l *layer) weights() blas32.General { return general(l.out, l.in, l.value) }
func (l *layer) biases() []float32       { return l.value[l.in*l.out:] }

func general(rows, columns int, data []float32) blas32.General {
	return blas32.General{Rows: rows, Cols: columns, Stride: columns, Data: data[:rows*columns]}
}

// newNetwork makes a network with He-initialised weights and zero biases.
func newNetwork(widths []int, batch int, random *rand.Rand) *network {
	n := &network{active: []blas32.General{general(batch, widths[0], make([]float32, batch*widths[0]))}}
	for k := 1; k < len(widths); k++ {
		in, out := widths[k-1], widths[k]
		size := in*out + out
		l := layer{
			in: in, out: out,
			value: make([]float32, size), slope: make([]float32, size),
			mean: make([]float32, size), variance: make([]float32, size),
		}
		deviation := math.Sqrt(2 / float64(in))
		for i := range in * out {
			l.value[i] = float32(deviation * random.NormFloat64())
		}
		n.layers = append(n.layers, l)
		n.active = append(n.active, general(batch, out, make([]float32, batch*out)))
		n.delta = append(n.delta, general(batch, out, make([]float32, batch*out)))
	}
	return n
}

// input is the row of the batch that the caller fills with a picture.
func (n *network) input(row int) []float32 { return matrixRow(n.active[0], row) }

// output is the class probabilities of a row, after forward.
func (n *network) output(row int) []float32 { return matrixRow(n.active[len(n.layers)], row) }

func matrixRow(m blas32.General, row int) []float32 {
	return m.Data[row*m.Stride : row*m.Stride+m.Cols]
}

// head is the first rows of a matrix.
func head(m blas32.General, rows int) blas32.General {
	m.Rows = rows
	return m
}

// forward computes the outputs of the first rows of the batch.
func (n *network) forward(rows int) {
	for k := range n.layers {
		l, out := &n.layers[k], n.active[k+1]
		for row := range rows {
			copy(matrixRow(out, row), l.biases())
		}
		project(head(n.active[k], rows), l.weights(), head(out, rows))
		if k == len(n.layers)-1 {
			for row := range rows {
				softmax(matrixRow(out, row))
			}
			continue
		}
		for i, x := range out.Data[:rows*l.out] {
			if x < 0 {
				out.Data[i] = 0
			}
		}
	}
}

// backward computes the slopes of the mean, over a full batch, of weight times
// cross entropy; forward must have run.
func (n *network) backward(classes []uint8, weights []float32) {
	last := len(n.layers) - 1
	batch := n.active[0].Rows
	for row := range batch {
		p, d := n.output(row), matrixRow(n.delta[last], row)
		part := weights[row] / float32(batch)
		for c := range d {
			d[c] = part * p[c]
		}
		d[classes[row]] -= part
	}
	for k := last; k >= 0; k-- {
		l, delta := &n.layers[k], n.delta[k]
		clear(l.slope)
		biases := l.slope[l.in*l.out:]
		for row := range batch {
			for j, d := range matrixRow(delta, row) {
				biases[j] += d
			}
		}
		gather(delta, n.active[k], general(l.out, l.in, l.slope))
		if k == 0 {
			break
		}
		below := n.delta[k-1]
		clear(below.Data)
		spread(delta, l.weights(), below)
		for i, x := range n.active[k].Data {
			if x == 0 {
				below.Data[i] = 0
			}
		}
	}
}

// The three products of a layer, over gonum's vector kernels. Gemm is not used
// because it cuts rows into pieces of 64 and hands them to goroutines: for
// matrices of this size that takes longer, and an arm of the demo has one core.

// block is how many rows of the right side are used again and again while they
// lie in the processor's nearest cache.
const block = 32

// project is c += a x b': every row of a by every row of b.
func project(a, b, c blas32.General) {
	sdot := blas32.Implementation().Sdot
	for first := 0; first < b.Rows; first += block {
		end := min(first+block, b.Rows)
		for i := range a.Rows {
			from, to := matrixRow(a, i), matrixRow(c, i)
			for j := first; j < end; j++ {
				to[j] += sdot(len(from), from, 1, matrixRow(b, j), 1)
			}
		}
	}
}

// spread is c += a x b, skipping the zeros of a: ReLU leaves about half of a
// gradient.
func spread(a, b, c blas32.General) {
	saxpy := blas32.Implementation().Saxpy
	for first := 0; first < a.Cols; first += block {
		end := min(first+block, a.Cols)
		for i := range a.Rows {
			to := matrixRow(c, i)
			for k, x := range a.Data[i*a.Stride+first : i*a.Stride+end] {
				if x != 0 {
					saxpy(len(to), x, matrixRow(b, first+k), 1, to, 1)
				}
			}
		}
	}
}

// gather is c += a' x b, likewise.
func gather(a, b, c blas32.General) {
	saxpy := blas32.Implementation().Saxpy
	for first := 0; first < a.Rows; first += block {
		end := min(first+block, a.Rows)
		for j := range a.Cols {
			to := matrixRow(c, j)
			for k := first; k < end; k++ {
				if x := a.Data[k*a.Stride+j]; x != 0 {
					saxpy(len(to), x, matrixRow(b, k), 1, to, 1)
				}
			}
		}
	}
}

func softmax(row []float32) {
	most := row[0]
	for _, x := range row {
		most = max(most, x)
	}
	sum := float32(0)
	for i, x := range row {
		e := float32(math.Exp(float64(x - most)))
		row[i] = e
		sum += e
	}
	for i := range row {
		row[i] /= sum
	}
}

// adam takes one step against the slopes.
func (n *network) adam(rate float64) {
	const b1, b2, epsilon = .9, .999, 1e-7
	n.step++
	c1 := 1 - math.Pow(b1, float64(n.step))
	c2 := 1 - math.Pow(b2, float64(n.step))
	step := float32(rate * math.Sqrt(c2) / c1)
	small := float32(epsilon * math.Sqrt(c2))
	for k := range n.layers {
		l := &n.layers[k]
		value, mean, variance := l.value, l.mean, l.variance
		for i, g := range l.slope {
			m := b1*mean[i] + (1-b1)*g
			v := b2*variance[i] + (1-b2)*g*g
			mean[i], variance[i] = m, v
			value[i] -= step * m / (float32(math.Sqrt(float64(v))) + small)
		}
	}
}

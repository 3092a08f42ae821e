//! A4: a network of two layers from features to pixels, trained by Adam, stopped when the pictures held out say so.
//!
//! `x̂ = W₂ relu(W₁ f + b₁) + b₂`. The gradient of the squared error is written out by hand: with `e = x̂ - x`,
//! `∂W₂ = eᵀ h`, `∂h = e W₂` where `h > 0`, `∂W₁ = ∂hᵀ f`. D. Kingma and J. Ba, "Adam", 2015, algorithm 1, gives the steps.

use super::Problem;
use crate::{
    leakage::{matrix::Matrix, score},
    random::Random,
};

/// Features that are taken; of a projection any prefix is one.
const INPUTS: usize = 512;
const HIDDEN: usize = 256;
const BATCH: usize = 64;
/// Most passes over the attacker's pictures.
const EPOCHS: usize = 60;
/// Passes without a gain on the held-out pictures after which training stops.
const PATIENCE: usize = 4;
/// Adam's constants, as its authors propose; the rate is theirs too.
const RATE: f32 = 1e-3;
const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Trains and predicts.
pub(super) fn attack(problem: &Problem<'_>) -> Matrix {
    let inputs = problem.features.columns.min(INPUTS);
    let features = problem.features.first_columns(inputs);
    let (fitted, count) = (problem.fitted(), features.rows);
    let (held, wanted) = (
        features.slice(fitted..count),
        problem.pictures.slice(fitted..count),
    );
    let mut random = Random::new(problem.seed, 0xdec0);
    let mut network = Network::new(inputs, problem.pictures.columns, &mut random);
    let mut best = (f64::NEG_INFINITY, network.layers.clone());
    let mut since = 0;
    let mut order: Vec<usize> = (0..fitted).collect();
    for _ in 0..EPOCHS {
        random.shuffle(&mut order);
        for batch in order.chunks(BATCH) {
            network.train(problem, &features.select(batch), &problem.pictures.select(batch));
        }
        let found = if held.rows > 1 {
            score::r2(&wanted, &network.predict(problem, &held))
        } else {
            0.0
        };
        if found > best.0 {
            best = (found, network.layers.clone());
            since = 0;
        } else {
            since += 1;
        }
        if since > PATIENCE {
            break;
        }
    }
    network.layers = best.1;
    network.predict(problem, &problem.attacked.first_columns(inputs))
}

/// Weights `[outputs, inputs]` and biases with what Adam remembers of their gradients.
#[derive(Clone, Debug)]
struct Layer {
    weights: Tensor,
    bias: Tensor,
}

/// Parameters, first and second moments.
#[derive(Clone, Debug)]
struct Tensor {
    values: Matrix,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Tensor {
    fn new(values: Matrix) -> Self {
        let zeros = vec![0.0; values.values.len()];
        Self {
            values,
            first: zeros.clone(),
            second: zeros,
        }
    }

    fn step(&mut self, gradient: &[f32], rate: f32) {
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, (first, second)), gradient) in self.values.values.iter_mut().zip(moments).zip(gradient) {
            *first = BETA1 * *first + (1.0 - BETA1) * gradient;
            *second = BETA2 * *second + (1.0 - BETA2) * gradient * gradient;
            *value -= rate * *first / (second.sqrt() + EPSILON);
        }
    }
}

struct Network {
    layers: [Layer; 2],
    steps: i32,
}

impl Network {
    fn new(inputs: usize, outputs: usize, random: &mut Random) -> Self {
        // He's deviation for the hidden layer; the output starts near the mean picture.
        let mut layer = |rows: usize, columns: usize, deviation: f32| {
            let values = (0..rows * columns).map(|_| random.normal() * deviation).collect();
            Layer {
                weights: Tensor::new(Matrix {
                    rows,
                    columns,
                    values,
                }),
                bias: Tensor::new(Matrix::zeros(1, rows)),
            }
        };
        Self {
            layers: [
                layer(HIDDEN, inputs, (2.0 / inputs as f32).sqrt()),
                layer(outputs, HIDDEN, 0.1 * (1.0 / HIDDEN as f32).sqrt()),
            ],
            steps: 0,
        }
    }

    fn hidden(&self, problem: &Problem<'_>, features: &Matrix) -> Matrix {
        let layer = &self.layers[0];
        let mut hidden = features.times_transposed(problem.isa, &layer.weights.values);
        hidden.add_to_rows(&layer.bias.values.values, 1.0);
        hidden.values.iter_mut().for_each(|value| *value = value.max(0.0));
        hidden
    }

    fn output(&self, problem: &Problem<'_>, hidden: &Matrix) -> Matrix {
        let layer = &self.layers[1];
        let mut out = hidden.times_transposed(problem.isa, &layer.weights.values);
        out.add_to_rows(&layer.bias.values.values, 1.0);
        out
    }

    fn predict(&self, problem: &Problem<'_>, features: &Matrix) -> Matrix {
        self.output(problem, &self.hidden(problem, features))
    }

    fn train(&mut self, problem: &Problem<'_>, features: &Matrix, pictures: &Matrix) {
        let gradients = self.gradients(problem, features, pictures);
        self.steps += 1;
        let correction = (1.0 - BETA2.powi(self.steps)).sqrt() / (1.0 - BETA1.powi(self.steps));
        for (layer, (weights, bias)) in self.layers.iter_mut().zip(gradients) {
            layer.weights.step(&weights.values, RATE * correction);
            layer.bias.step(&bias, RATE * correction);
        }
    }

    /// The gradients of half the squared error of a picture, averaged over the batch: weights and bias of each layer.
    fn gradients(
        &self,
        problem: &Problem<'_>,
        features: &Matrix,
        pictures: &Matrix,
    ) -> [(Matrix, Vec<f32>); 2] {
        let isa = problem.isa;
        let hidden = self.hidden(problem, features);
        let mut error = self.output(problem, &hidden);
        let scale = 1.0 / features.rows.max(1) as f32;
        for (error, picture) in error.values.iter_mut().zip(&pictures.values) {
            *error = (*error - picture) * scale;
        }
        let mut back = error.times(isa, &self.layers[1].weights.values);
        for (back, hidden) in back.values.iter_mut().zip(&hidden.values) {
            if *hidden <= 0.0 {
                *back = 0.0;
            }
        }
        let of = |error: &Matrix, input: &Matrix| {
            let across = error.transposed();
            let bias = across.iter_rows().map(|row| row.iter().sum()).collect();
            (across.times(isa, input), bias)
        };
        [of(&back, features), of(&error, &hidden)]
    }
}

#[cfg(test)]
mod tests {
    use locket_kernels::Isa;

    use super::{Matrix, Network, Problem};
    use crate::random::Random;

    fn random(rows: usize, columns: usize, seed: u64) -> Matrix {
        let mut random = Random::new(seed, 3);
        let values = (0..rows * columns).map(|_| random.normal()).collect();
        Matrix {
            rows,
            columns,
            values,
        }
    }

    /// Each gradient against the change of the loss when one parameter changes a little.
    #[test]
    fn gradients_are_those_of_finite_differences() {
        let (features, pictures) = (random(5, 7, 1), random(5, 4, 2));
        let problem = Problem {
            isa: Isa::best(),
            seed: 0,
            features: &features,
            pictures: &pictures,
            attacked: &features,
            variants: 1,
        };
        let mut network = Network::new(7, 4, &mut Random::new(4, 4));
        let loss = |network: &Network| -> f64 {
            let made = network.predict(&problem, &features);
            let squares = made
                .values
                .iter()
                .zip(&pictures.values)
                .map(|(a, b)| f64::from(a - b).powi(2));
            squares.sum::<f64>() / (2.0 * features.rows as f64)
        };
        let gradients = network.gradients(&problem, &features, &pictures);
        let step = 1e-2_f32;
        for layer in 0..2 {
            for place in [0, 3, 11, 17] {
                let original = network.layers[layer].weights.values.values[place];
                let mut at = |value: f32| {
                    network.layers[layer].weights.values.values[place] = value;
                    loss(&network)
                };
                let (above, below) = (at(original + step), at(original - step));
                at(original);
                let found = (above - below) / f64::from(2.0 * step);
                let stated = f64::from(gradients[layer].0.values[place]);
                // The second derivative does not enter a central difference; what remains is rounding of f32.
                assert!((found - stated).abs() < 1e-3, "{layer} {place}: {found} {stated}");
            }
        }
    }
}

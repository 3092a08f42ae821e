//! A small request, a real model, and the start of a worker.

use std::{error::Error, path::Path, time::Instant};

use locket::{
    DType, Isolation, Model, ModelConfiguration, Precision, Preprocess, Tensor, TensorMut, TensorRef,
};
use locket_data::Dataset;
use locket_runtime::{
    OutputBuffers, PlanOptions,
    compiled::{Source, save},
};

use super::{WAYS, at, configuration};

/// The least that a model can do.
const SMALL: &str = "func main opset ios16 (%x: fp32[16]) -> (y: %y) {
  %y: fp32[16] = relu(x=%x)
}";
/// Small requests of a block.
const SMALL_BLOCK: usize = 2000;
/// Predictions of a block: enough that one lasts as long as that of photos, and waking the worker, which slept meanwhile, counts as
/// little.
const LARGE_BLOCK: usize = 200;
/// Photos of the kit, each once in a block.
const PHOTOS: usize = 40;

/// A model with inputs and room for outputs.
pub(super) struct Bench {
    pub(super) model: Model,
    inputs: Vec<Tensor>,
    outputs: OutputBuffers,
    photos: Vec<Vec<u8>>,
    /// Writes the inputs where the model reads them.
    in_place: bool,
}

impl Bench {
    pub(super) fn load(path: &Path, isolation: Isolation, threads: usize) -> Result<Self, Box<dyn Error>> {
        let model = Model::load(path, &configuration(isolation, threads))?;
        let ports = model.inputs();
        let inputs = ports.iter().map(|port| Tensor::zeros(port.dtype, &port.shape));
        let outputs = model.outputs().into_iter().map(|port| (port.dtype, port.shape));
        Ok(Self {
            inputs: inputs.collect::<Result<_, _>>()?,
            outputs: OutputBuffers::of(outputs),
            model,
            photos: Vec::new(),
            in_place: false,
        })
    }

    /// With photos, and the recipe that makes them into the model's input.
    fn with_photos(
        path: &Path,
        recipe: &Preprocess,
        photos: &[Vec<u8>],
        isolation: Isolation,
        threads: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let with_recipe = ModelConfiguration {
            preprocess: Some(recipe.clone()),
            ..configuration(isolation, threads)
        };
        Ok(Self {
            model: Model::load(path, &with_recipe)?,
            photos: photos.to_vec(),
            ..Self::load(path, Isolation::InProcess, threads)?
        })
    }

    pub(super) fn predict(&mut self) -> Result<(), locket::Error> {
        let views: Vec<TensorRef<'_>> = self.inputs.iter().map(Tensor::view).collect();
        let outputs: &mut [TensorMut<'_>] = &mut self.outputs.views();
        if self.in_place {
            let fill = |places: &mut [TensorMut<'_>]| {
                for (place, view) in places.iter_mut().zip(&views) {
                    place.bytes.copy_from_slice(view.bytes);
                }
            };
            return self.model.predict_filled(fill, outputs);
        }
        self.model.predict_into(&views, outputs)
    }

    /// Microseconds of each of a block of predictions: from photos, if there are any.
    fn block(&mut self, predictions: usize) -> Result<Vec<f64>, locket::Error> {
        (0..predictions)
            .map(|n| {
                let start = Instant::now();
                match self.photos.get(n) {
                    Some(photo) => drop(self.model.predict_image(photo)?),
                    None => self.predict()?,
                }
                Ok(start.elapsed().as_secs_f64() * 1e6)
            })
            .collect()
    }
}

/// Writes the small model, compiled, so that loading it is nearly nothing.
fn small(folder: &Path) -> Result<std::path::PathBuf, Box<dyn Error>> {
    let path = folder.join("small.locket");
    let target = PlanOptions {
        isa: locket::Isa::best(),
        threads: 1,
        lean: false,
        precision: Precision::Float32,
        depth_first: true,
        hand_over_ns: PlanOptions::HAND_OVER_NS,
    };
    let source = Source {
        file: "small".to_owned(),
        hash: None,
    };
    save(&locket_mil::text::parse(SMALL)?, &[target], source, &path)?;
    Ok(path)
}

/// The worker's figure less, or over, that of this process, in each round.
struct Pairs {
    here: Vec<f64>,
    there: Vec<f64>,
}

impl Pairs {
    fn of(
        benches: &mut [Bench],
        rounds: usize,
        predictions: usize,
        figure: impl Fn(Vec<f64>) -> f64,
    ) -> Result<Self, Box<dyn Error>> {
        let mut figures = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            for (bench, figures) in benches.iter_mut().zip(&mut figures) {
                let block = bench.block(predictions)?;
                // The first round warms up.
                if round > 0 {
                    figures.push(figure(block));
                }
            }
        }
        let [here, there] = figures;
        Ok(Self { here, there })
    }

    fn each(&self, of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        self.here
            .iter()
            .zip(&self.there)
            .map(|(&here, &there)| of(here, there))
            .collect()
    }
}

fn pair(path: &Path, threads: usize) -> Result<Vec<Bench>, Box<dyn Error>> {
    WAYS.iter().map(|&way| Bench::load(path, way, threads)).collect()
}

/// Photos of the kit that the recipe of the model can use.
fn photos(kit: &Path, model: &Path) -> Result<(Preprocess, Vec<Vec<u8>>), Box<dyn Error>> {
    let name = model.file_name().unwrap_or_default().to_string_lossy();
    let recipe = Preprocess::read(&kit.join(format!("preprocess/{name}.toml")))?;
    let set = Dataset::open(&kit.join("data/imagenet/dev"))?;
    let files = (0..set.len().min(PHOTOS)).map(|index| {
        let mut file = Vec::new();
        set.stored(index, &mut file)?;
        Ok(file)
    });
    Ok((recipe, files.collect::<Result<_, locket_data::DataError>>()?))
}

/// Photos and tensors, one prediction after another.
fn throughput(
    model: &Path,
    kit: Option<&Path>,
    rounds: usize,
    threads: usize,
    bound: &str,
) -> Result<(), Box<dyn Error>> {
    let suffix = if threads > 1 {
        format!(", {threads} threads")
    } else {
        String::new()
    };
    // The mean, not the median: what a worker does only now and then counts too.
    let mean = |block: Vec<f64>| block.iter().sum::<f64>() / block.len() as f64;
    if let Some(kit) = kit {
        let (recipe, photos) = photos(kit, model)?;
        let mut benches = WAYS
            .iter()
            .map(|&way| Bench::with_photos(model, &recipe, &photos, way, threads))
            .collect::<Result<Vec<_>, _>>()?;
        let bytes = photos.iter().map(Vec::len).sum::<usize>() / photos.len().max(1);
        let what = format!(
            "a photo to scores (decode, preprocess, predict, discard), µs, mean of {} JPEGs of {} kB{suffix}",
            photos.len(),
            bytes / 1000
        );
        share(&what, bound, Pairs::of(&mut benches, rounds, photos.len(), mean)?);
    }
    let mut benches = pair(model, threads)?;
    let bytes: usize = benches[0].inputs.iter().map(|input| input.bytes().len()).sum();
    for (in_place, how) in [
        (false, "the model on tensors"),
        (true, "the model on inputs that the caller writes in place,"),
    ] {
        benches.iter_mut().for_each(|bench| bench.in_place = in_place);
        let what = format!("{how} of {} kB, µs, mean of {LARGE_BLOCK}{suffix}", bytes / 1000);
        share(&what, bound, Pairs::of(&mut benches, rounds, LARGE_BLOCK, mean)?);
    }
    Ok(())
}

/// One line of the table, in microseconds and percent.
fn share(what: &str, bound: &str, mut pairs: Pairs) {
    let mut ratios = pairs.each(|here, there| (there / here - 1.0) * 100.0);
    println!(
        "| {what} | {:.1} | {:.1} | {:.2} % (5 to 95 % of rounds: {:.2} to {:.2}) | {bound} |",
        at(&mut pairs.here, 0.5),
        at(&mut pairs.there, 0.5),
        at(&mut ratios, 0.5),
        at(&mut ratios, 0.05),
        at(&mut ratios, 0.95),
    );
}

pub(super) fn table(model: &Path, kit: Option<&Path>, rounds: usize) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let small = small(folder.path())?;
    println!("| what | in this process | in a worker | cost of the worker | bound |\n|---|---|---|---|---|");
    let median = |mut block: Vec<f64>| at(&mut block, 0.5);
    let mut trips = Pairs::of(&mut pair(&small, 1)?, rounds, SMALL_BLOCK, median)?;
    let cost = at(&mut trips.each(|here, there| there - here), 0.5);
    println!(
        "| a small request (relu of 16 floats), µs, median of {SMALL_BLOCK} | {:.2} | {:.2} | {cost:.2} µs | ≤ 10 µs |",
        at(&mut trips.here, 0.5),
        at(&mut trips.there, 0.5),
    );
    throughput(model, kit, rounds, 1, "≤ 1 %")?;
    // As many as the machine has, so that no processor is left for the one who waits.
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if processors > 1 {
        throughput(model, kit, rounds, processors, "none")?;
    }
    let mut starts = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (way, starts) in WAYS.into_iter().zip(&mut starts) {
            let start = Instant::now();
            let model = Model::load(&small, &configuration(way, 1))?;
            starts.push(start.elapsed().as_secs_f64() * 1e3);
            assert_eq!(model.inputs()[0].dtype, DType::Float32);
        }
    }
    let [here, there] = &mut starts;
    println!(
        "| from nothing to ready (small compiled model), ms | {:.2} | {:.2} (95 %: {:.2}) | {:.2} ms | ≤ 15 ms |\n",
        at(here, 0.5),
        at(there, 0.5),
        at(there, 0.95),
        at(there, 0.5) - at(here, 0.5),
    );
    Ok(())
}

//! How well the input picture can be reconstructed from what a model computes at a tap.
//!
//! An attacker who has the model, pictures of their own and the values of a tap tries to get the attacked pictures back. Taps
//! become features ([`features`]), a ladder of attacks ([`Attack`]) turns features into pictures, reconstructions are scored
//! ([`score`]), and scores become a level from 1 to 5 by published rules ([`level`]). Leakage is always stated with the
//! attack that found it: another attacker may find more, and no attack proves that there is none.
//!
//! Two controls guard every measurement: the model's input itself must score 5, and pairs of features and pictures that were
//! shuffled must score 1. Otherwise the measurement is an error, not a result.
//!
//! Left to others: reading models, pictures and recipes; pages and tables.

mod attacks;
mod augment;
mod features;
mod forms;
mod hadamard;
mod level;
mod matrix;
mod noise;
mod pictures;
mod report;
mod score;
mod ssim;
mod taps;

use std::sync::atomic::{AtomicUsize, Ordering};

use locket_data::{Preprocess, preprocess::Layout};
use locket_kernels::Isa;
use locket_mil::Function;
use locket_runtime::PlanOptions;
use locket_tensor::Tensor;

pub use attacks::Attack;
pub use forms::Form;
pub use level::Level;
pub use noise::NoiseBound;
pub use pictures::{PictureShape, Pictures, SIDE};
pub use report::{Around, report};
pub use score::{CONFIDENCE, GALLERY, Score, Share};
pub use taps::{Role, Tap};

use crate::{PrivacyError, random::Random};
use attacks::{Probe, Problem, probe};
use augment::{Augmented, augmented};
use features::{Collection, collect, logarithms_of_probabilities, standardise, with_roots};
use level::{Worst, control_level, level, level_by};
use matrix::Matrix;

/// Fewest pictures that are attacked.
pub const LEAST_ATTACKED: usize = 64;
/// Fewest pictures of the attacker's own.
pub const LEAST_AUXILIARY: usize = 32;
/// Pictures whose reconstructions are kept to look at.
pub const EXAMPLES: usize = 8;

/// Most features of a tap. Where the attacker has fewer pictures than this, closed forms cost by pictures, not by features.
const FEATURES: usize = 2048;
/// The same where the attacker has many pictures, with the variants made of them.
const FEATURES_OF_MANY: usize = 1024;
const MANY: usize = 1200;

/// A rise of the share of variance explained, from half of the attacker's pictures to all, that counts as one.
const RISE: f64 = 0.02;

/// Samples of one side.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// The model's inputs.
    pub inputs: &'a [Tensor],
    /// The pictures that those were made of, in the same order.
    pub pictures: &'a Pictures,
}

/// What is measured.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The model.
    pub function: &'a Function,
    /// The pictures attacked.
    pub attacked: Set<'a>,
    /// The attacker's own pictures.
    pub auxiliary: Set<'a>,
    /// Names of the taps; none for all layers, embeddings and outputs.
    pub taps: &'a [String],
    /// True to leave out all taps but the model's results.
    pub outputs_only: bool,
    /// Instruction set and threads.
    pub plan: PlanOptions,
    /// How pictures became inputs.
    pub recipe: &'a Preprocess,
    /// Standard deviation of noise that is added to what is stored or sent away, as a further form.
    pub noise: Option<f64>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Is told of what is done, of all that there is to do, in no particular unit.
    pub progress: &'a (dyn Fn(Stage, usize, usize) + Sync),
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("taps", &self.taps)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The model runs on pictures.
    Running,
    /// Taps are attacked.
    Attacking,
}

/// A point of the learning curve: what the attacks in closed form (A1 to A3) reach with so many pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// The attacker's pictures.
    pub auxiliary: usize,
    /// The largest share of variance explained, at least 0.
    pub r2: f64,
    /// The most pictures identified.
    pub identified: Share,
}

/// How often an attribute of the picture was told from the tap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attribute {
    /// Pictures whose class was told.
    pub right: Share,
    /// What guessing the most frequent class reaches.
    pub chance: f64,
    /// Classes there are.
    pub classes: usize,
}

/// Everything measured of one form of one tap.
#[derive(Clone, Debug)]
pub struct Leak {
    /// The tap.
    pub tap: Tap,
    /// The form that its numbers were in.
    pub form: Form,
    /// Numbers that attacks saw.
    pub features: usize,
    /// True if these are all the tap's numbers, unpooled and unprojected.
    pub exact: bool,
    /// Scores of the ladder, in its order.
    pub scores: Vec<(Attack, Score)>,
    /// The learning curve, fewest pictures first.
    pub curve: Vec<CurvePoint>,
    /// False if leakage still rises with the attacker's pictures.
    pub saturated: bool,
    /// The level.
    pub level: Level,
    /// The attribute probe, where there are labels enough.
    pub attribute: Option<Attribute>,
    /// For noisy forms, the bound that holds for every unbiased attacker.
    pub bound: Option<NoiseBound>,
    /// Reconstructions of the first attacked pictures by the attack with the largest share of variance explained.
    pub(crate) examples: Matrix,
}

impl Leak {
    /// The worst of each figure.
    pub(crate) fn worst(&self) -> Worst {
        Worst::of(self.scores.iter().map(|(_, score)| score)).expect("the ladder ran")
    }

    /// The attack that explains most, with its score.
    pub fn strongest(&self) -> (Attack, &Score) {
        let best = self
            .scores
            .iter()
            .reduce(|best, next| if next.1.r2 > best.1.r2 { next } else { best });
        best.map(|(attack, score)| (*attack, score))
            .expect("the ladder ran")
    }
}

/// The level of a leak if every cut-point were `factor` times as high.
pub(crate) fn level_at(leak: &Leak, factor: f64) -> u8 {
    level_by(leak.worst(), leak.saturated, factor).value
}

/// A valid measurement.
#[derive(Debug)]
pub struct Outcome {
    /// The input itself: level 5.
    pub identity: Leak,
    /// Shuffled pairs of the input: level 1.
    pub shuffled: Leak,
    /// The taps asked for, in the order of execution, each form after the float.
    pub leaks: Vec<Leak>,
    /// Sides of the targets.
    pub shape: PictureShape,
    /// Pictures attacked.
    pub attacked: usize,
    /// Pictures of the attacker.
    pub auxiliary: usize,
    /// What the attacker made of each: as it is, flipped, cropped.
    pub variants: usize,
    pub(crate) originals: Matrix,
}

impl Outcome {
    /// The result of the model, as computed, that leaks most; the first of equals. `None` if no result was tapped.
    pub fn leaving(&self) -> Option<&Leak> {
        let results = self
            .leaks
            .iter()
            .filter(|leak| leak.tap.is_result && leak.form == Form::Float32);
        results.reduce(|worst, next| {
            if next.level.value > worst.level.value {
                next
            } else {
                worst
            }
        })
    }
}

/// A task of the measurement.
#[derive(Clone, Copy, Debug)]
struct Task {
    tap: usize,
    form: Form,
    shuffled: bool,
}

/// Measures.
///
/// # Errors
///
/// If sets are too small or do not match, a tap is unknown, the model cannot be run, or a control fails.
pub fn measure(request: Request<'_>) -> Result<Outcome, PrivacyError> {
    check(&request)?;
    let tapped = taps::find(request.function, request.taps)?;
    let chosen: Vec<&Tap> = tapped
        .taps
        .iter()
        .filter(|tap| !request.outputs_only || tap.is_result || tap.role == Role::Input)
        .collect();
    let function = tapped.truncated(&chosen);
    let auxiliary = augmented(request.auxiliary, request.recipe, request.seed)?;
    let collection = Collection {
        function: &function,
        taps: &chosen,
        plan: request.plan,
        channels_last_input: request.recipe.layout == Layout::Nhwc,
        limit: if auxiliary.inputs.len() > MANY {
            FEATURES_OF_MANY
        } else {
            FEATURES
        },
        seed: request.seed,
    };
    let total = auxiliary.inputs.len() + request.attacked.inputs.len();
    let features = collect(collection, &auxiliary.inputs, request.attacked.inputs, &|done| {
        (request.progress)(Stage::Running, done, total);
    })?;
    let forms_of = |tap: usize| -> Vec<Form> {
        let mut forms = vec![Form::Float32];
        if chosen[tap].role.leaves() && features.exact[tap] {
            forms.extend([Form::Int8, Form::OneBit]);
            forms.extend(request.noise.map(|sigma| Form::Noisy { sigma }));
        }
        forms
    };
    let mut tasks = vec![
        Task {
            tap: 0,
            form: Form::Float32,
            shuffled: false,
        },
        Task {
            tap: 0,
            form: Form::Float32,
            shuffled: true,
        },
    ];
    for tap in 1..chosen.len() {
        tasks.extend(forms_of(tap).into_iter().map(|form| Task {
            tap,
            form,
            shuffled: false,
        }));
    }
    let done = AtomicUsize::new(0);
    let threads = request.plan.threads.clamp(1, tasks.len().max(1));
    let leaks = locket_pool::in_order(tasks.len(), vec![(); threads], |(), index| {
        let task = tasks[index];
        let mut leak = attack(&request, &auxiliary, &features, chosen[task.tap], task);
        if let Form::Noisy { sigma } = task.form {
            leak.bound = noise::bound(&request, &tapped.truncated(&[chosen[task.tap]]), sigma)?;
        }
        (request.progress)(
            Stage::Attacking,
            done.fetch_add(1, Ordering::Relaxed) + 1,
            tasks.len(),
        );
        Ok::<_, PrivacyError>(leak)
    })?;
    let mut leaks = leaks.into_iter();
    let mut next = || leaks.next().expect("a leak for each task");
    let (identity, shuffled) = (next(), next());
    judge("identity", &identity, 5)?;
    judge("shuffled pairs", &shuffled, 1)?;
    let examples = request.attacked.pictures.len().min(EXAMPLES);
    Ok(Outcome {
        identity,
        shuffled,
        leaks: leaks.collect(),
        shape: request.attacked.pictures.shape(),
        attacked: request.attacked.pictures.len(),
        auxiliary: request.auxiliary.pictures.len(),
        variants: auxiliary.variants,
        originals: request.attacked.pictures.values.slice(0..examples),
    })
}

fn check(request: &Request<'_>) -> Result<(), PrivacyError> {
    let unsuitable = |message: String| Err(PrivacyError::Unsuitable(message));
    for (what, set, least) in [
        ("pictures to attack", request.attacked, LEAST_ATTACKED),
        ("pictures of the attacker", request.auxiliary, LEAST_AUXILIARY),
    ] {
        if set.inputs.len() != set.pictures.len() {
            let (inputs, pictures) = (set.inputs.len(), set.pictures.len());
            return unsuitable(format!("{what}: {inputs} inputs for {pictures} pictures"));
        }
        if set.pictures.len() < least {
            return unsuitable(format!(
                "expected at least {least} {what}, found {}",
                set.pictures.len()
            ));
        }
    }
    if request.attacked.pictures.shape() != request.auxiliary.pictures.shape() {
        return unsuitable("the attacker's pictures have another size than those attacked".to_owned());
    }
    match request.noise {
        Some(sigma) if !(sigma > 0.0 && sigma.is_finite()) => {
            unsuitable(format!("expected noise with a deviation above 0, found {sigma}"))
        }
        _ => Ok(()),
    }
}

fn judge(control: &str, leak: &Leak, expected: u8) -> Result<(), PrivacyError> {
    if leak.level.value == expected {
        return Ok(());
    }
    Err(PrivacyError::Control {
        control: control.to_owned(),
        expected,
        found: leak.level.value,
        reason: leak.level.reason.clone(),
    })
}

/// Runs the ladder on one form of one tap.
fn attack(
    request: &Request<'_>,
    auxiliary: &Augmented,
    features: &features::Features,
    tap: &Tap,
    task: Task,
) -> Leak {
    let isa = request.plan.isa;
    let (mut known, mut asked) = (
        features.auxiliary[task.tap].clone(),
        features.attacked[task.tap].clone(),
    );
    task.form.apply(&mut known, &mut asked, request.seed);
    let logarithms = task.form == Form::Float32
        && features.exact[task.tap]
        && logarithms_of_probabilities([&mut known, &mut asked]);
    // Roots of one bit are that bit; those of projected numbers are in the projection.
    if !logarithms && task.form != Form::OneBit && tap.role != Role::Input && !features.projected[task.tap] {
        (known, asked) = (with_roots(&known), with_roots(&asked));
    }
    standardise(&mut known, &mut asked);
    let mut pictures = auxiliary.pictures.clone();
    if task.shuffled {
        let mut order: Vec<usize> = (0..pictures.rows).collect();
        Random::new(request.seed, 0x5aff).shuffle(&mut order);
        pictures = pictures.select(&order);
    }
    let side = Side {
        isa,
        seed: request.seed,
        known: &known,
        pictures: &pictures,
        asked: &asked,
        originals: &request.attacked.pictures.values,
        variants: auxiliary.variants,
    };
    let mut scores = Vec::new();
    let mut best: Option<(f64, Matrix)> = None;
    for attack in Attack::ALL {
        let (made, mean) = side.reconstruct(attack, pictures.rows / auxiliary.variants);
        let found = score::score(
            isa,
            side.originals,
            &made,
            &mean,
            request.attacked.pictures.shape(),
        );
        if best.as_ref().is_none_or(|(r2, _)| found.r2 > *r2) {
            best = Some((found.r2, made.slice(0..made.rows.min(EXAMPLES))));
        }
        scores.push((attack, found));
    }
    let curve = side.curve(&scores);
    let saturated = is_saturated(&curve);
    let worst = Worst::of(scores.iter().map(|(_, score)| score)).expect("the ladder ran");
    let labels = request.attacked.pictures.labels();
    let found = probe(isa, &known, &auxiliary.labels, &asked, labels, auxiliary.variants);
    Leak {
        tap: tap.clone(),
        form: task.form,
        features: known.columns,
        exact: features.exact[task.tap],
        scores,
        curve,
        saturated,
        level: if task.shuffled {
            control_level(worst)
        } else {
            level(worst, saturated)
        },
        attribute: found.filter(|_| !task.shuffled).map(
            |Probe {
                 right,
                 chance,
                 classes,
             }| Attribute {
                right,
                chance,
                classes,
            },
        ),
        bound: None,
        examples: best.map(|(_, made)| made).unwrap_or_default(),
    }
}

/// Both sides of an attack.
#[derive(Clone, Copy)]
struct Side<'a> {
    isa: Isa,
    seed: u64,
    known: &'a Matrix,
    pictures: &'a Matrix,
    asked: &'a Matrix,
    originals: &'a Matrix,
    /// Rows of `known` that stand together for one of the attacker's pictures.
    variants: usize,
}

impl Side<'_> {
    /// Reconstructions by an attacker with the first `count` pictures, and the mean of those.
    fn reconstruct(&self, attack: Attack, count: usize) -> (Matrix, Vec<f32>) {
        let count = count * self.variants;
        let mut pictures = self.pictures.slice(0..count);
        let mean = pictures.column_means();
        pictures.add_to_rows(&mean, -1.0);
        let mut made = attack.run(&Problem {
            isa: self.isa,
            seed: self.seed,
            features: &self.known.slice(0..count),
            pictures: &pictures,
            attacked: self.asked,
            variants: self.variants,
        });
        made.add_to_rows(&mean, 1.0);
        // Pictures have values from 0 to 1, which the attacker knows.
        made.values
            .iter_mut()
            .for_each(|value| *value = value.clamp(0.0, 1.0));
        (made, mean)
    }

    /// What the attacks in closed form reach with a quarter and a half of the pictures; `all` has it for all of them.
    fn curve(&self, all: &[(Attack, Score)]) -> Vec<CurvePoint> {
        const CLOSED: [Attack; 3] = [Attack::Nearest, Attack::Ridge, Attack::RandomFeatures];
        let total = self.pictures.rows / self.variants;
        let mut points: Vec<CurvePoint> = [total / 4, total / 2]
            .into_iter()
            .map(|count| {
                let reached = CLOSED.map(|attack| {
                    let (made, mean) = self.reconstruct(attack, count);
                    let (hits, _) = score::identified(self.isa, self.originals, &made, &mean);
                    (score::r2(self.originals, &made), hits)
                });
                let hits = reached.iter().map(|(_, hits)| *hits).max().unwrap_or(0);
                CurvePoint {
                    auxiliary: count,
                    r2: reached.iter().map(|(r2, _)| *r2).fold(0.0, f64::max),
                    identified: Share::new(hits, self.originals.rows),
                }
            })
            .collect();
        let closed = || {
            all.iter()
                .filter(|(attack, _)| CLOSED.contains(attack))
                .map(|(_, score)| score)
        };
        points.push(CurvePoint {
            auxiliary: total,
            r2: closed().map(|score| score.r2).fold(0.0, f64::max),
            identified: Share::new(
                closed()
                    .map(|score| score.identification.count)
                    .max()
                    .unwrap_or(0),
                self.originals.rows,
            ),
        });
        points
    }
}

/// True if twice the pictures changed nothing: neither the share of variance by more than [`RISE`], nor identification
/// beyond the bound that half the pictures left.
fn is_saturated(curve: &[CurvePoint]) -> bool {
    match curve {
        [.., half, all] => all.r2 - half.r2 < RISE && all.identified.seen() <= half.identified.upper,
        _ => false,
    }
}

//! A deterministic renderer of small labelled, captioned, photo-like scenes.
//!
//! A [`Scene`] is drawn from a seed and an index; it has a label (one of twelve [`CLASSES`]), a caption, and
//! renders to RGB bytes of any size. The same seed and index give the same bytes on every machine: all maths is
//! single IEEE-754 `f32` operations and integers. [`write_dataset`] writes a range of scenes in the layout that
//! the rest of Locket reads; [`Split`] names the bundled parts, which share no scene.
//!
//! This crate knows nothing of models and depends on nothing but the standard library.
//!
//! ```
//! use locket_scenes::{CLASSES, Scene, Split};
//!
//! let scene = Scene::sample(Split::Dev.seed(), 7);
//! let pixels = scene.render(64);
//! assert_eq!(pixels.len(), 64 * 64 * 3);
//! assert!(scene.caption().contains(CLASSES[scene.label()]));
//! ```
#![forbid(unsafe_code)]

mod attributes;
mod backdrop;
mod canvas;
mod clutter;
mod dataset;
mod finish;
mod ground;
mod light;
mod maths;
mod objects;
mod random;
mod render;
mod room;
mod scene;

pub use attributes::{CLASSES, Class, Colour, Setting, TimeOfDay};
pub use dataset::{Split, write_dataset};
pub use render::MAX_SIZE;
pub use scene::{Companion, Pose, Scene};

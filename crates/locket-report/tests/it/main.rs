//! Whole documents from whole evidence.

mod html;
mod json;
mod markdown;
mod proof;
mod sample;

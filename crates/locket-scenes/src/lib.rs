//! A deterministic renderer of small labelled, captioned, photo-like scenes.

//! Core ML `.mlpackage` reader and writer.

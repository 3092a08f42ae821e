//! TFLite reader: flatbuffer to a MIL program.

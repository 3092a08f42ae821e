//! What a person should know before shipping a program.

//! The program as a user meets it: the built binary on small models that the tests write themselves.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod log;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod prove;
#[cfg(test)]
mod sign;
#[cfg(test)]
mod workplace;

//! Doors: each turns one wire protocol into calls and answers back. They decide nothing (`access` does).

mod door;
mod exchange;
pub mod health;
pub mod native;
pub mod openapi;
pub mod problem;
mod resting;
pub mod server;
mod serving;
mod socket;
pub mod tencent;
pub(crate) mod tls;
mod unstoppable;
mod untaken;

#[cfg(test)]
mod tests;

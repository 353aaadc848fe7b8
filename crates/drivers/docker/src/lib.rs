//! A Docker Engine of this machine, for the adapters that use one: the connection and what its errors mean
//! ([`engine`]), images from archives of ours ([`images`]), whom their programs run as ([`users`]), and the program that
//! holds a network namespace ([`pause`]).

pub mod engine;
pub mod images;
pub mod pause;
pub mod users;

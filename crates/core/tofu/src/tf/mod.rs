//! OpenTofu's JSON syntax as values: nothing here knows a provider.
//!
//! A literal string and an expression are different types, so that `${` in a name can never become an expression,
//! and a reference is a type too, so that it cannot be misspelt as text.

mod block;
mod name;
mod root;
mod value;

pub(crate) use block::{Object, Ref, Resource};
pub(crate) use name::{Charset, fit, key};
pub use root::Backend;
pub(crate) use root::{ProviderPin, Root, Section, Variable, written};
pub(crate) use value::{Expr, Value};

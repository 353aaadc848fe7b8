//! Emission and checker against the real provider schemas.

mod checker;
mod corpus;
mod examples;
mod schemas;
mod world;

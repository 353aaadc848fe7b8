//! The dashboard inside the binary: `site` has the files and answers for them, `sign_in` is the page for who has to
//! show a token first, `alone` serves the dashboard by itself in front of a server elsewhere.
//!
//! The files hold no data of any cluster; what the page shows it asks of the public API. They are built from
//! `dashboard/` at the root of the repository; a binary that was built without them says so.

pub mod alone;
pub mod sign_in;
pub mod site;

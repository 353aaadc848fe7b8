//! Questions before something is changed or removed.

use crate::context::Context;
use crate::fault::Fault;

const ADD_YES: &str = "add -y to go on without being asked";

/// Whether the person agrees. Without a person to ask and without `-y` the command is refused.
pub(crate) fn agreed(context: &mut Context<'_>, question: &str) -> Result<bool, Fault> {
    if context.yes {
        return Ok(true);
    }
    if !context.io.can_ask {
        return Err(Fault::usage("nobody can be asked here", ADD_YES));
    }
    context.io.talk_raw(format!("{question} [y/N] ").as_bytes())?;
    let answer = context.io.answer()?;
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

/// Whether the person writes `name` to have it removed.
///
/// # Errors
/// When there is nobody to ask, or another name was written.
pub(crate) fn removal(context: &mut Context<'_>, kind: &str, name: &str) -> Result<(), Fault> {
    if context.yes {
        return Ok(());
    }
    if !context.io.can_ask {
        return Err(Fault::usage(format!("nobody can be asked whether to remove {kind} {name}"), ADD_YES));
    }
    context.io.talk_raw(format!("write `{name}` to remove {kind} {name}: ").as_bytes())?;
    if context.io.answer()? == name {
        return Ok(());
    }
    Err(Fault::failed(format!("{kind} {name} was not removed: another name was written"), None))
}

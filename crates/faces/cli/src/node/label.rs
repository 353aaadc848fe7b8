//! `univrs node label`.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::show;

/// Set or remove labels of a node.
#[derive(Args, Debug)]
pub(crate) struct LabelArgs {
    /// Id or name of the node
    node: String,
    /// `KEY=VALUE` sets a label, `KEY-` removes it
    #[arg(required = true, value_name = "KEY=VALUE|KEY-", value_parser = change)]
    changes: Vec<(String, Option<String>)>,
}

impl LabelArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let labels: Map<String, Value> = self
            .changes
            .into_iter()
            .map(|(key, value)| (key, value.map_or(Value::Null, Value::String)))
            .collect();
        let reply = context.client.patch_node(&self.node, &json!({"labels": labels})).await?;
        context.talk(&format!("labels of node {} changed", self.node))?;
        show::written(context, reply.body(), &self.node, &self.node)?;
        Ok(Exit::Ok)
    }
}

fn change(text: &str) -> Result<(String, Option<String>), String> {
    match (text.split_once('='), text.strip_suffix('-')) {
        (Some((key, value)), _) if !key.is_empty() => Ok((key.to_owned(), Some(value.to_owned()))),
        (None, Some(key)) if !key.is_empty() => Ok((key.to_owned(), None)),
        _ => Err(format!("`{text}` is neither KEY=VALUE nor KEY-")),
    }
}

#[cfg(test)]
mod tests {
    use super::change;

    #[test]
    fn labels_are_set_and_removed() {
        assert_eq!(change("disk=ssd"), Ok(("disk".into(), Some("ssd".into()))));
        assert_eq!(change("disk="), Ok(("disk".into(), Some(String::new()))));
        assert_eq!(change("disk-"), Ok(("disk".into(), None)));
        assert!(change("disk").is_err());
        assert!(change("=x").is_err());
        assert!(change("-").is_err());
    }
}

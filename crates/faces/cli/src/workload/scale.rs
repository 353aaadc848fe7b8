//! `univrs scale web=3` and `univrs workload scale web 3`.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::print_body;
use crate::wait::{Target, settle};
use crate::workload::edit;

/// Set how many instances workloads have.
#[derive(Args, Debug)]
pub(crate) struct ScaleArgs {
    /// `NAME=REPLICAS`, several of them, or one `NAME REPLICAS`
    #[arg(required = true, value_name = "NAME=REPLICAS")]
    targets: Vec<String>,
}

impl ScaleArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let targets = pairs(&self.targets)?;
        if let [(name, replicas)] = targets.as_slice() {
            let reply = context.client.scale_workload(name, *replicas).await?;
            return edit::finish(context, &reply).await;
        }
        let mut accepted = Vec::new();
        for (name, replicas) in &targets {
            accepted.push(Target::from(&context.client.scale_workload(name, *replicas).await?.value()?));
        }
        let exit = settle(context, &accepted).await?;
        for target in &accepted {
            let reply = context.client.workload(&target.name).await?;
            if context.for_programs() {
                print_body(context, reply.body())?;
            } else {
                let view = reply.value()?;
                crate::show::written(context, reply.body(), view.id.as_str(), view.name.as_str())?;
            }
        }
        Ok(exit)
    }
}

fn pairs(words: &[String]) -> Result<Vec<(String, u32)>, Fault> {
    let number = |text: &str| {
        text.parse::<u32>().map_err(|_| {
            Fault::usage(format!("`{text}` is not a number of instances"), "write `NAME=REPLICAS`")
        })
    };
    if let [name, replicas] = words
        && !name.contains('=')
        && !replicas.contains('=')
    {
        return Ok(vec![(name.clone(), number(replicas)?)]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, replicas)) if !name.is_empty() => Ok((name.to_owned(), number(replicas)?)),
            Some(_) | None => {
                Err(Fault::usage(format!("`{word}` does not say how many"), "write `NAME=REPLICAS`"))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::pairs;

    #[test]
    fn both_ways_of_writing_mean_the_same() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (line, expected) in [
            ("web=3", vec![("web", 3)]),
            ("web 3", vec![("web", 3)]),
            ("web=3 api=0", vec![("web", 3), ("api", 0)]),
        ] {
            let found = pairs(&words(line)).unwrap();
            let found: Vec<(&str, u32)> = found.iter().map(|(name, count)| (name.as_str(), *count)).collect();
            assert_eq!(found, expected);
        }
        for bad in ["web", "web=x", "web=-1", "=3", "web 3 4", "web x"] {
            assert!(pairs(&words(bad)).is_err(), "{bad}");
        }
    }
}

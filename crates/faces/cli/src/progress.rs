//! What a change is doing: moving lines on a terminal, otherwise one plain line for each change.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::fault::Fault;
use crate::io::Io;

/// What several changes are doing.
pub(crate) struct Progress {
    drawing: Option<MultiProgress>,
    bars: BTreeMap<String, ProgressBar>,
    said: BTreeMap<String, String>,
}

impl Progress {
    pub(crate) fn new(io: &Io) -> Self {
        Self { drawing: io.draws.then(MultiProgress::new), bars: BTreeMap::new(), said: BTreeMap::new() }
    }

    /// `subject` is now doing this.
    pub(crate) fn say(&mut self, io: &mut Io, subject: &str, doing: &str) -> Result<(), Fault> {
        if self.said.get(subject).is_some_and(|said| said == doing) {
            return Ok(());
        }
        self.said.insert(subject.to_owned(), doing.to_owned());
        let line = format!("{subject}: {doing}");
        match &self.drawing {
            None => io.talk(&line)?,
            Some(drawing) => {
                let bar = self.bars.entry(subject.to_owned()).or_insert_with(|| spinner(drawing));
                bar.set_message(line);
            }
        }
        Ok(())
    }

    /// Ends the drawing; the last words on each subject remain.
    pub(crate) fn finish(&mut self, io: &mut Io) -> Result<(), Fault> {
        let Some(drawing) = self.drawing.take() else { return Ok(()) };
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
        // Clearing fails only when the terminal is gone.
        let _ = drawing.clear();
        for (subject, doing) in &self.said {
            io.talk(&format!("{subject}: {doing}"))?;
        }
        Ok(())
    }
}

fn spinner(drawing: &MultiProgress) -> ProgressBar {
    let bar = drawing.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

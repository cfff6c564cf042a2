//! What is shown while a run is under way: a bar in a terminal, plain lines elsewhere, nothing with `--json`.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use kluis_inspect::run::Event;
use tokio::sync::mpsc;

/// Shows events until the run ends.
pub(crate) async fn show(mut events: mpsc::Receiver<Event>, is_json: bool) {
    let bar = ProgressBar::no_length();
    if is_json || !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} hosts, {elapsed}, {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut open = 0_u64;
    while let Some(event) = events.recv().await {
        match event {
            Event::Begun { hosts, done } => {
                bar.set_length(hosts);
                bar.set_position(done);
            }
            Event::Done { host, assets, refused } => {
                bar.inc(1);
                open = open.saturating_add(u64::try_from(assets.len()).unwrap_or_default());
                bar.set_message(format!("{open} answered"));
                for asset in &assets {
                    let line = format!("{host}: grade {:?}, level {:?}", asset.grade, asset.level);
                    tell(&bar, is_json, &line);
                }
                if refused > 0 {
                    tell(&bar, is_json, &format!("{host}: refused by the guard rails"));
                }
            }
            _ => {}
        }
    }
    bar.finish_and_clear();
}

fn tell(bar: &ProgressBar, is_json: bool, line: &str) {
    if is_json {
        return;
    }
    if bar.is_hidden() {
        eprintln!("{line}");
    } else {
        bar.println(line);
    }
}

//! From runs to a verdict. It knows no process and no clock.

use serde::Serialize;

use super::budget::{Better, Row, Scale};
use super::contender::Contender;
use super::experiment::{Experiment, Figures};

/// Above it, a run shared its core with somebody else.
pub const DISTURBED_MIN: f64 = 0.10;

/// One run of one contender.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    pub experiment: Experiment,
    pub contender: Contender,
    pub round: usize,
    pub outcome: Figures,
}

/// What a row came to for one contender.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub row: &'static str,
    pub contender: Contender,
    /// One for each round: the ratio or the difference of a pair, or the figure itself.
    pub each: Vec<f64>,
    /// Their median; none where any run had errors.
    pub measured: Option<f64>,
    pub verdict: Verdict,
    pub why: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Stretch,
    Pass,
    Fail,
    /// Nothing is demanded.
    Reported,
    /// No figure that could be trusted.
    Invalid,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Self::Stretch => "pass (stretch)",
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Reported => "reported",
            Self::Invalid => "no figure",
        }
    }
}

impl Run {
    /// For the one who waits.
    pub fn line(&self) -> String {
        let values: Vec<String> = self
            .outcome
            .values
            .iter()
            .map(|(metric, value)| format!("{metric:?} {}", short(*value)))
            .collect();
        let mut line = format!(
            "{}, round {}, {}: {}",
            self.experiment,
            self.round,
            self.contender.name(),
            values.join(", ")
        );
        if let Some(busy) = self.outcome.others_busy {
            line += &format!("; generator's core {:.0}% busy", busy * 100.0);
        }
        if self.is_disturbed() {
            let share = self.outcome.disturbed.unwrap_or(0.0);
            line += &format!("; DISTURBED: others took {:.0}% of its core", share * 100.0);
        }
        if self.outcome.errors > 0 {
            let first = self.outcome.first_error.as_deref().unwrap_or("unknown");
            line += &format!("; {} ERRORS: {first}", self.outcome.errors);
        }
        line
    }

    pub fn is_disturbed(&self) -> bool {
        self.outcome.disturbed.is_some_and(|share| share > DISTURBED_MIN)
    }
}

/// Judges a row for a contender.
pub fn judge(row: &Row, contender: Contender, runs: &[Run]) -> Line {
    let of = |experiment: Experiment, whose: Contender| {
        runs.iter().filter(move |run| run.experiment == experiment && run.contender == whose)
    };
    let mut line = Line {
        row: row.id,
        contender,
        each: Vec::new(),
        measured: None,
        verdict: Verdict::Invalid,
        why: None,
    };
    for run in of(row.experiment, contender) {
        let mut beside = match row.scale {
            Scale::Nginx => of(row.experiment, Contender::Nginx),
            Scale::OwnChat => of(row.experiment.in_chat(), contender),
            Scale::Itself => of(row.experiment, contender),
        };
        let yardstick = beside.find(|other| other.round == run.round);
        match pair(row, run, yardstick) {
            Ok(figure) => line.each.push(figure),
            Err(why) => line.why = line.why.or(Some(why)),
        }
    }
    if line.each.is_empty() && line.why.is_none() {
        line.why = Some("not measured".to_owned());
    }
    if line.why.is_none() {
        line.measured = median(&line.each);
        line.verdict = line.measured.map_or(Verdict::Invalid, |figure| against(row, figure));
    }
    line
}

fn pair(row: &Row, run: &Run, yardstick: Option<&Run>) -> Result<f64, String> {
    let missing = match row.scale {
        Scale::Nginx => "nginx wasn't measured",
        Scale::OwnChat => "its chat wasn't measured",
        Scale::Itself => "not measured",
    };
    let yardstick = yardstick.ok_or(missing)?;
    for one in [run, yardstick] {
        if one.outcome.errors > 0 {
            let first = one.outcome.first_error.as_deref().unwrap_or("unknown");
            return Err(format!(
                "{}: {} errors: {first}",
                one.contender.name(),
                one.outcome.errors
            ));
        }
    }
    let value = |run: &Run| run.outcome.values.get(&row.metric).copied();
    let figure = value(run).ok_or("not measured")?;
    let beside = value(yardstick).ok_or(missing)?;
    match row.scale {
        Scale::Itself => Ok(figure),
        Scale::OwnChat => Ok(figure - beside),
        Scale::Nginx if beside > 0.0 => Ok(figure / beside),
        Scale::Nginx => Err(missing.to_owned()),
    }
}

fn against(row: &Row, figure: f64) -> Verdict {
    let reaches = |bound: f64| match row.better {
        Better::Higher => figure >= bound,
        Better::Lower => figure <= bound,
    };
    match (row.must, row.stretch) {
        (_, Some(stretch)) if reaches(stretch) => Verdict::Stretch,
        (Some(must), _) if reaches(must) => Verdict::Pass,
        (Some(_), _) => Verdict::Fail,
        (None, _) => Verdict::Reported,
    }
}

/// The middle one, or the mean of the middle two.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// As many digits as mean something.
pub fn short(value: f64) -> String {
    match value.abs() {
        1_000.0.. => format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::compare::budget::ROWS;
    use crate::compare::experiment::Metric;

    fn run(contender: Contender, round: usize, rps: f64, errors: u64) -> Run {
        let outcome = Figures { errors, ..Figures::default() }.with(Metric::RequestsPerS, rps);
        Run { experiment: ROWS[0].experiment, contender, round, outcome }
    }

    fn rounds(pairs: &[(f64, f64)]) -> Vec<Run> {
        let runs = pairs.iter().enumerate().map(|(round, (nginx, ours))| {
            [run(Contender::Nginx, round, *nginx, 0), run(Contender::Fluxgate, round, *ours, 0)]
        });
        runs.flatten().collect()
    }

    #[test]
    fn a_ratio_is_the_median_of_pairs_not_the_ratio_of_medians() {
        let runs = rounds(&[(100.0, 70.0), (200.0, 120.0), (400.0, 360.0)]);
        let line = judge(&ROWS[0], Contender::Fluxgate, &runs);
        assert_eq!((line.measured, line.verdict), (Some(0.7), Verdict::Pass));
        assert_eq!(line.each.len(), 3);
    }

    #[test]
    fn a_ratio_with_errors_on_either_side_is_not_given() {
        for whose in [Contender::Nginx, Contender::Fluxgate] {
            let mut runs = rounds(&[(100.0, 70.0), (100.0, 70.0)]);
            runs.iter_mut().rfind(|run| run.contender == whose).unwrap().outcome.errors = 2;
            let line = judge(&ROWS[0], Contender::Fluxgate, &runs);
            assert_eq!((line.measured, line.verdict), (None, Verdict::Invalid));
            assert!(line.why.unwrap().contains("2 errors"));
        }
    }

    #[test]
    fn what_translation_costs_is_above_the_same_contenders_chat_in_the_same_round() {
        let row = ROWS.iter().find(|row| row.scale == Scale::OwnChat).unwrap();
        let run = |experiment, contender, round, us| Run {
            experiment,
            contender,
            round,
            outcome: Figures::default().with(row.metric, us),
        };
        let (chat, ours) = (row.experiment.in_chat(), Contender::Fluxgate);
        let mut runs = vec![
            run(chat, Contender::Nginx, 1, 1.0),
            run(chat, ours, 1, 25.0),
            run(row.experiment, ours, 1, 35.0),
            run(chat, ours, 2, 40.0),
            run(row.experiment, ours, 2, 38.0),
        ];
        let line = judge(row, ours, &runs);
        assert_eq!((line.each, line.measured), (vec![10.0, -2.0], Some(4.0)));
        assert_eq!(line.verdict, Verdict::Pass);
        runs.remove(1);
        let line = judge(row, ours, &runs);
        assert_eq!(line.why.as_deref(), Some("its chat wasn't measured"));
    }

    #[test]
    fn bounds_are_reached_from_the_right_side() {
        let (more, less) = (&ROWS[0], &ROWS[2]);
        assert_eq!(
            [0.8, 0.6, 0.59].map(|figure| against(more, figure)),
            [Verdict::Stretch, Verdict::Pass, Verdict::Fail]
        );
        assert_eq!(
            [1.25, 1.7, 1.71].map(|figure| against(less, figure)),
            [Verdict::Stretch, Verdict::Pass, Verdict::Fail]
        );
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}

use super::*;

fn figure() -> Figure {
    Figure::new("gate", "one", "time", "ns", 6.0)
}

#[test]
fn a_line_for_a_program_has_every_key_in_order() {
    let line = serde_json::to_string(&figure().against(4.0).with_goal(Goal::RatioAtMost(1.2)));
    assert_eq!(
        line.unwrap(),
        r#"{"bench":"gate","case":"one","metric":"time","unit":"ns","value":6.0,"baseline":4.0,"ratio":1.5,"goal":"ratio <= 1.2","holds":false,"interval":null,"disturbed":null}"#
    );
    let bare = serde_json::to_value(figure()).unwrap();
    assert_eq!(bare["goal"], serde_json::Value::Null);
}

#[test]
fn a_ratio_is_the_median_of_the_rounds_own_ratios() {
    let compared = figure().against_rounds(&[10.0, 20.0, 30.0], &[10.0, 10.0, 10.0]);
    assert_eq!((compared.value, compared.baseline), (20.0, Some(10.0)));
    assert_eq!(compared.ratio, Some(2.0));
}

#[test]
fn a_goal_for_a_ratio_holds_once_the_interval_reaches_it() {
    let compared = figure().against_rounds(&[1.0, 1.1, 1.2], &[1.0, 1.0, 1.0]);
    let holds = |limit| compared.clone().with_goal(Goal::RatioAtMost(limit)).holds;
    assert_eq!(holds(1.0), Some(true));
    assert_eq!(holds(0.8), Some(false));
}

#[test]
fn a_goal_for_a_value_needs_no_baseline() {
    assert_eq!(figure().with_goal(Goal::AtMost(6.0)).holds, Some(true));
    assert_eq!(figure().with_goal(Goal::AtLeast(6.1)).holds, Some(false));
    assert_eq!(figure().with_goal(Goal::RatioAtMost(9.0)).holds, Some(false));
}

#[test]
fn a_table_lines_up() {
    let rows = table(&[figure(), figure().against(4.0).with_goal(Goal::AtMost(7.0))]);
    assert_eq!(
        rows,
        [
            "case  metric  value  unit  baseline  ratio  goal",
            "one   time    6.000  ns",
            "one   time    6.000  ns       4.000  1.500  value <= 7: holds",
        ]
    );
}

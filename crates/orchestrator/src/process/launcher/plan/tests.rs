use super::*;

fn launch() -> Launch {
    Launch {
        parent: 42,
        uid: Some(60_600),
        open_files: 8192,
        file_size: 8 << 30,
        processes: 1024,
        cgroups: vec!["/a=b/cgroup.procs".into(), "/c/cgroup.procs".into()],
        program: "/usr/lib/chromium/chromium".into(),
        args: vec!["--".into(), OsString::from("--user-data-dir=/x"), "uid=0".into()],
    }
}

#[test]
fn a_job_survives_its_arguments() {
    for job in [
        Job::Launch(launch()),
        Job::Launch(Launch { uid: None, cgroups: vec![], args: vec![], ..launch() }),
        Job::KillUser(60_600),
    ] {
        assert_eq!(Job::parse(job.to_args()), Ok(job));
    }
}

#[test]
fn root_is_no_sandbox_user() {
    for uid in ["0", "4294967295", "-1", "", "x"] {
        let args = ["kill-user", uid].map(OsString::from);
        assert_eq!(Job::parse(args), Err(PlanError::Number("uid")), "{uid}");
    }
    let zero = Launch { uid: Some(0), ..launch() };
    assert_eq!(Job::parse(zero.to_args()), Err(PlanError::Number("uid")));
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    assert_eq!(Job::parse([]), Err(PlanError::NoJob));
    assert_eq!(Job::parse(["x".into()]), Err(PlanError::Unknown("x".into())));
    let args = ["launch", "parent=1", "wat=1", "--", "p"].map(OsString::from);
    assert_eq!(Job::parse(args), Err(PlanError::Unknown("wat=1".into())));
    let args = ["launch", "parent=1", "files=1", "size=1", "procs=1", "--"].map(OsString::from);
    assert_eq!(Job::parse(args), Err(PlanError::Missing("program")));
}

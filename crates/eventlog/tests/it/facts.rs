//! One test for each fact, on a backend.

/// Makes one test for each fact, on a backend.
macro_rules! facts {
    ($backend:expr) => {
        $crate::suite::with_facts!($crate::facts::each_fact, $backend);

        proptest::proptest! {
            #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
            #[test]
            fn agrees_with_a_plain_list(ops in $crate::model::ops()) {
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(
                    $crate::model::agrees_with_a_plain_list(&mut $backend, ops),
                );
            }
        }
    };
}

macro_rules! each_fact {
    ($backend:expr, $($fact:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $fact() {
            $crate::suite::$fact(&mut $backend).await;
        }
    )+};
}

pub(crate) use {each_fact, facts};

use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry::trace::Tracer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;

/// Answers in turn what it is told to, and then 200; it counts what it was sent.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<(Vec<u16>, usize)>>);

async fn answer(State(script): State<Script>) -> StatusCode {
    let mut script = script.0.lock().unwrap();
    script.1 += 1;
    let status = script.0.pop().unwrap_or(200);
    StatusCode::from_u16(status).unwrap()
}

async fn serve(script: &Script) -> (Otlp, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let otlp = Otlp::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let router = Router::new().route("/v1/traces", post(answer)).with_state(script.clone());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (otlp, server)
}

fn spans(tracer: &SdkTracer, number: usize) {
    for _ in 0..number {
        drop(tracer.start("a span"));
    }
}

#[tokio::test]
async fn spans_that_were_not_taken_at_first_are_sent_again() {
    let script = Script::default();
    script.0.lock().unwrap().0 = vec![503, 503];
    let (otlp, _server) = serve(&script).await;
    let (tracer, export) = export(otlp, "test");
    spans(&tracer, 3);
    let (end, ended) = oneshot::channel::<()>();
    let dropped = Arc::clone(&export.dropped);
    let stop = async move {
        let seen = || script.0.lock().unwrap().1;
        while seen() < 3 {
            sleep(Duration::from_millis(5)).await;
        }
        drop(end);
        let _ = ended.await;
    };
    timeout(Duration::from_secs(60), export.run(stop, WAIT)).await.expect("it ends");
    assert_eq!(dropped.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_last_spans_are_sent_after_the_stop() {
    let script = Script::default();
    let (otlp, _server) = serve(&script).await;
    let (tracer, export) = export(otlp, "test");
    spans(&tracer, BATCH + 1);
    export.run(async {}, Duration::from_secs(60)).await;
    assert_eq!(script.0.lock().unwrap().1, 2, "two batches");
}

#[tokio::test]
async fn spans_that_wait_for_more_to_send_with_are_not_lost_at_the_stop() {
    let script = Script::default();
    let (otlp, _server) = serve(&script).await;
    let (tracer, export) = export(otlp, "test");
    spans(&tracer, 1);
    // Long enough for it to be taken out of the queue, and shorter than a batch waits.
    export.run(sleep(WAIT / 10), Duration::from_secs(60)).await;
    assert_eq!(script.0.lock().unwrap().1, 1);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_not_there_costs_a_full_queue_and_the_grace() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (tracer, export) = export(Otlp::new(&format!("http://{address}")).unwrap(), "test");
    spans(&tracer, QUEUE + 10);
    assert_eq!(export.dropped.load(Ordering::Relaxed), 10, "nobody waits for room");
    let from = tokio::time::Instant::now();
    export.run(sleep(Duration::from_secs(5)), Duration::from_secs(2)).await;
    assert!(from.elapsed() < Duration::from_secs(8), "{:?}", from.elapsed());
}

#[test]
fn a_span_of_a_caller_s_trace_is_its_child_in_the_request() {
    let (tracer, mut export) = export(Otlp::new("http://127.0.0.1:1").unwrap(), "test");
    let parent = SpanContext::new(
        TraceId::from_bytes([1; 16]),
        SpanId::from_bytes([2; 8]),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let context = Context::new().with_remote_span_context(parent);
    drop(tracer.start_with_context("a span", &context));
    let span = export.outlet.try_recv().unwrap();
    let request: serde_json::Value =
        serde_json::from_slice(&encode::request("test", &[span])).unwrap();
    let from = &request["resourceSpans"][0];
    assert_eq!(from["resource"]["attributes"][0]["value"]["stringValue"], "test");
    let span = &from["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], "01".repeat(16));
    assert_eq!(span["parentSpanId"], "02".repeat(8));
    assert_eq!((&span["name"], &span["kind"]), (&"a span".into(), &2.into()));
}

//! `rust-client MODE ENDPOINT`: drives one sandbox with an unmodified `chromiumoxide`.
//!
//! `drive`: connect, open a local page, click, take a screenshot, leave. `large`: the same, with a
//! screenshot of at least 20 MiB on the wire. Prints a JSON line for each step. `agent`, without an
//! endpoint: a runner beside a browser.

mod agent;

use std::error::Error;
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::page::CaptureScreenshotFormat;
use chromiumoxide::handler::HandlerConfig;
use chromiumoxide::page::ScreenshotParams;
use chromiumoxide::{Browser, Page};
use futures::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const PAGE: &str = "<!doctype html><title>Lock 7</title><h1>Lock 7</h1>\
    <button id=gate onclick=\"this.textContent='open'\">closed</button>\
    <canvas id=noise width=10 height=10></canvas>";

/// Random pixels, which no encoder can make small.
const NOISE: &str = "(() => {
    const canvas = document.getElementById('noise');
    canvas.width = canvas.height = 2600;
    const pen = canvas.getContext('2d');
    const image = pen.createImageData(2600, 2600);
    const words = new Uint32Array(image.data.buffer);
    let seed = 1;
    for (let i = 0; i < words.length; i += 1) {
        seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
        words[i] = seed | 0xff000000;
    }
    pen.putImageData(image, 0, 0);
    return true;
})()";

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let (mode, endpoint) = match (arguments.next(), arguments.next()) {
        (Some(mode), None) if mode == "agent" => return agent::run().await,
        (Some(mode), Some(endpoint)) => (mode, endpoint),
        _ => return Err("usage: rust-client drive|large ENDPOINT, or agent".into()),
    };
    let site = serve_page().await?;
    let config = HandlerConfig { request_timeout: Duration::from_secs(60), ..Default::default() };
    let (browser, mut handler) = Browser::connect_with_config(endpoint, config).await?;
    let driver = tokio::spawn(async move { while handler.next().await.is_some() {} });
    say("connected", &json!({ "version": browser.version().await?.product }));
    let page = browser.new_page(site.as_str()).await?;
    page.wait_for_navigation().await?;
    must(page.get_title().await?.as_deref() == Some("Lock 7"), "the page has another title")?;
    say("navigated", &json!({ "url": page.url().await? }));
    match mode.as_str() {
        "drive" => drive(&page).await?,
        "large" => large(&page).await?,
        other => return Err(format!("unknown mode {other:?}: drive or large").into()),
    }
    page.close().await?;
    // Leaving closes the socket; the browser is not ours to close.
    drop(browser);
    driver.abort();
    say("closed", &json!({}));
    Ok(())
}

async fn drive(page: &Page) -> Outcome {
    page.find_element("#gate").await?.click().await?;
    let text = page.find_element("#gate").await?.inner_text().await?;
    must(text.as_deref() == Some("open"), "the click did not open the gate")?;
    say("clicked", &json!({}));
    let image = page.find_element("h1").await?.screenshot(CaptureScreenshotFormat::Png).await?;
    must(image.len() > 1000, "the screenshot is too small")?;
    say("screenshot", &json!({ "bytes": image.len() }));
    Ok(())
}

async fn large(page: &Page) -> Outcome {
    let drawn: bool = page.evaluate(NOISE).await?.into_value()?;
    must(drawn, "nothing was drawn")?;
    let whole = ScreenshotParams::builder().format(CaptureScreenshotFormat::Png).full_page(true);
    let image = page.screenshot(whole.build()).await?;
    let wire = image.len().div_ceil(3) * 4;
    must(wire >= 20 << 20, "the screenshot is too small")?;
    say("screenshot", &json!({ "bytes": image.len(), "wire": wire }));
    Ok(())
}

/// Serves the page on a free port of loopback to whoever asks, until the process ends.
async fn serve_page() -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close";
                let length = PAGE.len();
                let answer = format!("{head}\r\ncontent-length: {length}\r\n\r\n{PAGE}");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    Ok(url)
}

fn must(holds: bool, otherwise: &str) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// One JSON line for the program that started us.
fn say(step: &str, more: &serde_json::Value) {
    let mut line = more.clone();
    line["step"] = step.into();
    println!("{line}");
}

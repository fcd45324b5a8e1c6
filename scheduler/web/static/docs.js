"use strict";
// "Try it": sends what the form of an operation says, and shows the answer.
document.documentElement.classList.add("scripted");

async function send(operation) {
  let path = operation.dataset.path;
  const query = new URLSearchParams();
  const headers = new Headers();
  for (const input of operation.querySelectorAll("input[data-in]")) {
    const { in: place, name } = input.dataset;
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(input.value));
    else if (input.value && place === "query") query.append(name, input.value);
    else if (input.value) headers.set(name, input.value);
  }
  const token = document.querySelector("#token").value.trim();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  const body = operation.querySelector("textarea");
  if (body) headers.set("Content-Type", "application/json");
  const address = query.size ? `${path}?${query}` : path;
  const answer = await fetch(address, {
    method: operation.dataset.method,
    headers,
    body: body ? body.value : undefined,
  });
  const text = await answer.text();
  const json = (answer.headers.get("Content-Type") || "").includes("json");
  const shown = json && text ? JSON.stringify(JSON.parse(text), null, 2) : text;
  return `${operation.dataset.method} ${address}\n${answer.status} ${answer.statusText}\n\n${shown}`;
}

for (const operation of document.querySelectorAll("details.operation")) {
  const button = operation.querySelector("button");
  if (!button) continue;
  button.addEventListener("click", async () => {
    const result = operation.querySelector(".result");
    result.hidden = false;
    result.textContent = "…";
    try {
      result.textContent = await send(operation);
    } catch (error) {
      result.textContent = `No answer: ${error.message}`;
    }
  });
}

document.querySelector("#credentials").addEventListener("submit", (event) => event.preventDefault());

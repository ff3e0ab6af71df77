// The forms whose link holds a one-time token: first administrator, invitation, new password.
// The token stands behind the # of the link, so it is in no log of any server, and is taken out of
// the address at once.
//
// What a form does stands in its page. The form: data-route, where it is posted; data-done, what is
// said when that went well; data-signs-in, where it starts a session. A field: its name is the
// member of the body, data-fault the sentence about a bad value, data-token marks the token's.

/**
 * What the gateway says of a refusal (RFC 9457).
 * @typedef {object} Problem
 * @property {string} [detail]
 * @property {string} [title]
 */

const ME_ROUTE = "/api/v1/auth/me";
const PASSWORD_BYTES_MIN = 15;
const PASSWORD_BYTES_MAX = 1024;

const form = /** @type {HTMLFormElement} */ (document.querySelector("form"));
const result = /** @type {HTMLElement} */ (document.querySelector("#result"));
const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
const fields = [...form.querySelectorAll("input")];

takeToken();
window.addEventListener("hashchange", takeToken);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void submit();
});

function takeToken() {
  const field = fields.find((field) => "token" in field.dataset);
  if (field && location.hash.length > 1) {
    field.value = decode(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
    fields.find((field) => field.value === "")?.focus();
  }
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function submit() {
  const fault = markFaults();
  if (fault) {
    tell(fault.dataset.fault ?? "", true);
    fault.focus();
    return;
  }
  button.disabled = true;
  try {
    await post();
  } catch {
    tell("The gateway can't be reached.", true);
  } finally {
    button.disabled = false;
    // What had the focus was disabled, or is hidden now.
    result.focus();
  }
}

async function post() {
  const answer = await fetch(form.dataset.route ?? "", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body()),
  });
  if (!answer.ok) {
    tell(await problemOf(answer), true);
    return;
  }
  form.hidden = true;
  if ("signsIn" in form.dataset && !(await isSignedIn())) {
    tell("It is done, but this browser kept no session: it does so over https alone.", true);
    return;
  }
  tell(form.dataset.done ?? "", false);
}

/** Marks every bad field and returns the first. */
function markFaults() {
  for (const field of fields) {
    field.removeAttribute("aria-invalid");
    if (!isGood(field)) {
      field.setAttribute("aria-invalid", "true");
    }
  }
  return fields.find((field) => field.hasAttribute("aria-invalid"));
}

/** @param {HTMLInputElement} field */
function isGood(field) {
  if (field.type === "password") {
    const bytes = new TextEncoder().encode(field.value).length;
    return bytes >= PASSWORD_BYTES_MIN && bytes <= PASSWORD_BYTES_MAX;
  }
  return field.validity.valid && !(field.required && field.value.trim() === "");
}

/** What was filled in, under the fields' names. A password counts as it is, spaces too. */
function body() {
  const value = (/** @type {HTMLInputElement} */ field) =>
    field.type === "password" ? field.value : field.value.trim();
  const filled = fields.filter((field) => value(field) !== "");
  return Object.fromEntries(filled.map((field) => [field.name, value(field)]));
}

/** Whether the session's cookie came back: some browsers keep it over https alone. */
async function isSignedIn() {
  try {
    return (await fetch(ME_ROUTE)).status !== 401;
  } catch {
    return true;
  }
}

/** @param {Response} answer */
async function problemOf(answer) {
  try {
    const problem = /** @type {Problem} */ (await answer.json());
    return String(problem.detail ?? problem.title ?? `The gateway answered ${answer.status}.`);
  } catch {
    return `The gateway answered ${answer.status}.`;
  }
}

/**
 * @param {string} text
 * @param {boolean} bad
 */
function tell(text, bad) {
  result.textContent = text;
  result.classList.toggle("bad", bad);
}

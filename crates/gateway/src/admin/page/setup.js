// The form of the first administrator. The token stands behind the # of the setup link, so it is
// in no log of any server, and is taken out of the address at once.

const ROUTE = "/api/v1/auth/setup";
const PASSWORD_BYTES_MIN = 15;
const PASSWORD_BYTES_MAX = 1024;

const form = document.querySelector("#setup");
const result = document.querySelector("#result");
const button = form.querySelector("button");
const { token, email, password } = form.elements;

takeToken();
window.addEventListener("hashchange", takeToken);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void submit();
});

function takeToken() {
  if (location.hash.length > 1) {
    token.value = decode(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
    email.focus();
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
  const fault = firstFault();
  if (fault) {
    tell(fault, true);
    return;
  }
  button.disabled = true;
  try {
    const answer = await fetch(ROUTE, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        token: token.value.trim(),
        email: email.value.trim(),
        password: password.value,
      }),
    });
    if (answer.ok) {
      form.hidden = true;
      tell("The administrator is created.", false);
    } else {
      tell(await problemOf(answer), true);
    }
  } catch {
    tell("The gateway can't be reached.", true);
  } finally {
    button.disabled = false;
  }
}

/** Marks what is wrong and returns the first sentence about it. */
function firstFault() {
  const bytes = new TextEncoder().encode(password.value).length;
  const faults = [
    [token, token.value.trim() !== "", "The setup token is missing."],
    [email, email.value.trim() !== "" && email.validity.valid, "That is not an e-mail address."],
    [
      password,
      bytes >= PASSWORD_BYTES_MIN && bytes <= PASSWORD_BYTES_MAX,
      `The password needs ${PASSWORD_BYTES_MIN} to ${PASSWORD_BYTES_MAX} characters.`,
    ],
  ];
  let first = "";
  for (const [field, good, sentence] of faults) {
    field.removeAttribute("aria-invalid");
    if (!good) {
      field.setAttribute("aria-invalid", "true");
      if (!first) {
        first = sentence;
        field.focus();
      }
    }
  }
  return first;
}

/** @param {Response} answer */
async function problemOf(answer) {
  try {
    const problem = await answer.json();
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

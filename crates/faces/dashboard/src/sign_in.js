const form = document.getElementById("form");
const talk = document.getElementById("talk");
async function enter(token) {
  talk.textContent = "";
  try {
    const reply = await fetch("/", { headers: { Authorization: "Bearer " + token, Accept: "text/html" } });
    if (reply.ok || reply.status === 404) {
      sessionStorage.setItem("univrs.token", token);
      location.reload();
      return;
    }
    sessionStorage.removeItem("univrs.token");
    talk.textContent = "The server does not take this token: it is unknown, expired or revoked.";
  } catch {
    talk.textContent = "The server does not answer. Try again.";
  }
}
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const token = document.getElementById("token").value.trim();
  if (/^[\x21-\x7e]+$/.test(token)) enter(token);
  else talk.textContent = "This is not a token: it has letters that no token has.";
});
const known = sessionStorage.getItem("univrs.token");
if (known) enter(known);

// For a server that wants a token and a tab that has none, or one that is no longer taken.

import { useState } from "react";

import { signIn } from "../api/session";
import { Button } from "../ui/button";
import { TextField } from "../ui/field";

export function SignIn({ known, detail }: { known: boolean; detail: string }) {
  const [token, setToken] = useState("");
  const legible = /^[\x21-\x7e]*$/.test(token.trim());
  return (
    <main className="grid min-h-screen place-items-center p-4">
      <form
        className="grid w-full max-w-md gap-3 rounded-xl border border-line bg-panel p-6"
        onSubmit={(event) => {
          event.preventDefault();
          if (legible && token.trim()) signIn(token.trim());
        }}
      >
        <h1 className="text-xl font-semibold">Sign in to Univrs</h1>
        {known ? <p role="alert" className="tone-bad rounded-md px-3 py-2">The server does not take the token any more: {detail}</p> : null}
        <TextField
          label="API token"
          type="password"
          value={token}
          error={legible ? null : "This has letters that no token has."}
          hint="Made by `univrs token create`. It stays in this tab and is gone when the tab is closed."
          onChange={(event) => setToken(event.target.value)}
        />
        <Button look="main" type="submit" reason={token.trim() ? null : "there is no token yet"}>
          Sign in
        </Button>
      </form>
    </main>
  );
}

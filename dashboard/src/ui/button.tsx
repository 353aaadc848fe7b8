// Buttons and links that look like them. A button that may not be used says why.

import type { ButtonHTMLAttributes, ReactNode } from "react";

export type Look = "plain" | "main" | "danger" | "ghost";

const LOOKS: Record<Look, string> = {
  plain: "border-line bg-panel hover:bg-raised",
  main: "border-transparent bg-fill text-white hover:brightness-110",
  danger: "border-transparent bg-[light-dark(#ad2119,#b3302a)] text-white hover:brightness-110",
  ghost: "border-transparent hover:bg-raised",
};

export function buttonClass(look: Look = "plain", small = false): string {
  const size = small ? "h-7 px-2 text-[0.86rem]" : "h-8 px-3";
  // Positioned, so that its hidden words stay within what scrolls and widen no page.
  return `relative inline-flex items-center justify-center gap-1.5 rounded-md border font-medium whitespace-nowrap ${size} ${LOOKS[look]}`;
}

interface Props extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "disabled"> {
  look?: Look;
  small?: boolean;
  /** Why it may not be used now; nothing when it may. */
  reason?: string | null | undefined;
  children: ReactNode;
}

export function Button({ look, small, reason, className = "", onClick, children, type = "button", ...rest }: Props) {
  const blocked = reason ? "opacity-55" : "";
  return (
    <button
      {...rest}
      type={type}
      className={`${buttonClass(look, small)} ${blocked} ${className}`}
      aria-disabled={reason ? true : undefined}
      title={reason ?? rest.title}
      onClick={reason ? (event) => event.preventDefault() : onClick}
    >
      {children}
      {reason ? <span className="sr-only">: not possible, {reason}</span> : null}
    </button>
  );
}

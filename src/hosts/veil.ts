import { createRedactor, isSecretName } from '../util/redact.js'

const PLACEHOLDER = '[redacted]'
const LONGEST = 200

/** A member or key whose value is a string: `"name": "value"`, `name = "value"`. */
const PAIR = /("?)([\w.-]+)\1(\s*[:=]\s*)(["'])((?:\\.|(?!\4).)*)\4/g
/** A flag with its value in one argument: `--name=value`. */
const FLAG = /(--?)([\w-]+)=([^"'\s]+)/g
/** A flag with its value as the next argument: `"--name", "value"`, on one line or on two. */
const NEXT = /(--?)([\w-]+)(["']\s*,\s*["'])([^"']+)/g
const LONE = /^(["'])((?:\\.|(?!\1).)*)\1,?$/

/**
 * Hides what looks like a secret in lines of somebody's configuration, and cuts lines that nobody
 * would read. References to variables stay.
 */
export function veilLines(lines: readonly string[]): string[] {
  const redact = createRedactor()
  return lines.map((line, at) => {
    const veiled = redact(veil(line, lines[at - 1]))
    return veiled.length > LONGEST ? `${veiled.slice(0, LONGEST)}…` : veiled
  })
}

function veil(line: string, before: string | undefined): string {
  const flag = /["']--?([\w-]+)["']\s*,\s*$/.exec(before ?? '')?.[1]
  const lone = LONE.exec(line.trim())
  if (flag !== undefined && isSecretName(flag) && lone?.[2] !== undefined) {
    return line.replace(lone[2], hide)
  }
  return line
    .replace(PAIR, (all, quote, name: string, between: string, mark: string, value: string) =>
      isSecretName(name) ? `${quote}${name}${quote}${between}${mark}${hide(value)}${mark}` : all,
    )
    .replace(FLAG, (all, dashes: string, name: string, value: string) =>
      isSecretName(name) ? `${dashes}${name}=${hide(value)}` : all,
    )
    .replace(NEXT, (all, dashes: string, name: string, between: string, value: string) =>
      isSecretName(name) ? `${dashes}${name}${between}${hide(value)}` : all,
    )
}

const hide = (value: string) => (/^\$(\{[^}]+\}|\w+)$/.test(value) ? value : PLACEHOLDER)

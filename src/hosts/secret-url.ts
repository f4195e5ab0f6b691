import { isSecretName } from '../util/redact.js'

/** Names the parameter of a URL that holds a secret, by its name; `undefined` without any. */
export function secretParameter(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined
  return [...new URL(url).searchParams.keys()].find(isSecretName)
}

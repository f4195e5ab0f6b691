import type { Named } from './names.js'

/**
 * Resource URIs when several targets share one server: the target's name becomes the first part
 * behind the scheme (`data://info` of `docs` is `data://docs/info`); a URI without `://` gets it in
 * front (`docs+urn:x`). With one target URIs stay as they are.
 */
export function exposeUri(target: Named, uri: string): string {
  const at = uri.indexOf('://')
  if (at < 0) return `${target.name}+${uri}`
  return `${uri.slice(0, at + 3)}${target.name}/${uri.slice(at + 3)}`
}

/** Finds the target and its own URI behind an exposed one. */
export function routeUri<T extends Named>(
  targets: readonly T[],
  exposed: string,
): { target: T; uri: string } | undefined {
  const at = exposed.indexOf('://')
  for (const target of targets) {
    // the scheme `git+ssh` is not the target `git`: with `://` the name stands behind it
    if (at < 0 && exposed.startsWith(`${target.name}+`)) {
      return { target, uri: exposed.slice(target.name.length + 1) }
    }
    if (at >= 0 && exposed.startsWith(`${target.name}/`, at + 3)) {
      const rest = exposed.slice(at + 3 + target.name.length + 1)
      return { target, uri: exposed.slice(0, at + 3) + rest }
    }
  }
  return undefined
}

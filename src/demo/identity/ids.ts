import { randomBytes } from 'node:crypto'

/** Makes the 27 letters and digits that follow the prefix of a Descope id. */
export function randomId(): string {
  let id = ''
  while (id.length < 27) id += randomBytes(40).toString('base64').replace(/[+/=]/g, '')
  return id.slice(0, 27)
}

/** Makes a client id in the form that Descope's registration gives: base64 of `P…:TPA…`. */
export function newClientId(projectId: string): string {
  return Buffer.from(`${projectId}:TPA${randomId()}`).toString('base64')
}

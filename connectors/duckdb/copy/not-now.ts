/** The file is in the middle of something: the attempt is dropped and made again a little later. Never leaves this folder. */
export class NotNow extends Error {}

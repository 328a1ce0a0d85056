export const bankSum: number;
